"""DeepLabV3+: atrous spatial pyramid pooling, and a decoder with one skip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gvt import Dropout, Frame, PassedTo
from gvt.vision.padding import pooled

from .dense import DenseHead, resized
from .layers import ConvNorm

LOW_STRIDE = 4
"""Stride of the skip's map in the decoder."""

LOW_WIDTH = 48
"""Channels of the skip, reduced so that it does not dominate."""

REACH = 96
"""Reach of the first dilated convolution in pixels: rate 6 at stride 16."""


class DeepLab(DenseHead):
    """DeepLabV3+ (Chen et al. 2018, https://arxiv.org/abs/1802.02611) on any backbone.

    Atrous separable convolutions of several rates, and the mean over the image, are applied to
    the coarsest map with a stride of at most `output_stride`. The result is upsampled,
    concatenated with the map of stride 4, and convolved. A backbone that can dilate its last
    stages keeps their depth at that stride; otherwise coarser stages are not used.

    Args:
        feature_info: The (channels, stride) of each feature map.
        output_stride: 16, or 8 for finer masks at several times the cost.
        width: Channels of the layers.
        rates: Rates of the dilated convolutions, in cells of the map. By default 6, 12 and 18 at
            stride 16, and 12, 24 and 36 at stride 8.
        dropout: Dropout rate of the pooled features.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If the number of classes does not fit the mode, there are no losses, or
            `weights` names an unknown loss.
    """

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        output_stride: Literal[8, 16] = 16,
        width: PositiveInt = 256,
        rates: tuple[PositiveInt, ...] | None = None,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        self.high, self.low = _maps(feature_info, output_stride)
        channels, stride = feature_info[self.high]
        if rates is None:
            rates = tuple(max(1, factor * REACH // stride) for factor in (1, 2, 3))
        self.pooling = ASPP(channels, stride, width, rates, dropout)
        # The dilation, the neighbouring cell in upsampling, and two 3x3 convolutions on the skip.
        low = stride if self.low is None else feature_info[self.low][1]
        self.padding_reach = (max(rates) + 1) * stride + 3 * low
        refined = width
        self.reduce = None
        if self.low is not None:
            self.reduce = ConvNorm(feature_info[self.low][0], LOW_WIDTH)
            refined += LOW_WIDTH
        self.refine = nn.Sequential(
            ConvNorm(refined, width, 3, separable=True), ConvNorm(width, width, 3, separable=True)
        )
        self.score = nn.Conv2d(width, self.outputs, 1)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {"width": 16, "rates": [1, 2, 3]}

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) at the size of the map of stride 4."""
        x: Tensor = self.pooling(features[self.high], frame)
        if self.reduce is not None and self.low is not None:
            low = self.reduce(features[self.low])
            x = torch.cat([resized(x, low.shape[-2:]), low], dim=1)
        scores: Tensor = self.score(self.refine(x))
        return scores


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: convolutions of several rates on one map.

    Args:
        channels: Channels of the input.
        stride: Stride of the input in pixels of the image.
        width: Channels of the output.
        rates: Dilation of each 3x3 convolution.
        dropout: Dropout rate of the output.
    """

    def __init__(
        self, channels: int, stride: int, width: int, rates: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.branches = nn.ModuleList(
            [ConvNorm(channels, width)]
            + [ConvNorm(channels, width, 3, rate, separable=True) for rate in rates]
        )
        # No batch norm, as there is one value for each image, and a batch may be one image.
        self.whole = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU())
        self.project = nn.Sequential(ConvNorm(width * (len(rates) + 2), width), Dropout(dropout))

    def forward(self, x: Tensor, frame: Frame) -> Tensor:
        """Return (N, width, h, w) for (N, channels, h, w)."""
        whole = self.whole(pooled(x, self.stride, frame, 1)).expand(-1, -1, *x.shape[-2:])
        branches = [branch(x) for branch in self.branches]
        output: Tensor = self.project(torch.cat([*branches, whole], dim=1))
        return output


def _maps(
    feature_info: Mapping[str, tuple[int, int]], output_stride: int
) -> tuple[str, str | None]:
    """Return the names of the map to pool, and of the skip if there is a finer map."""
    names = list(feature_info)
    strides = [stride for _, stride in feature_info.values()]
    high = max((i for i, s in enumerate(strides) if s <= output_stride), default=0)
    finer = [i for i in range(high) if strides[i] < strides[high]]
    if not finer:
        return names[high], None
    return names[high], names[min(finer, key=lambda i: abs(strides[i] - LOW_STRIDE))]
