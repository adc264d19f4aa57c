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
"""Stride of the map that the decoder takes for the borders."""

LOW_WIDTH = 48
"""What that map's channels are brought down to, so that they do not outweigh the others."""

REACH = 96
"""Distance, in pixels, that the first dilated convolution reaches: rate 6 at stride 16."""


class DeepLab(DenseHead):
    """DeepLabV3+ (Chen and others, 2018, https://arxiv.org/abs/1802.02611) on any backbone.

    Atrous separable convolutions of several rates and the mean over the picture see the coarsest
    map whose stride is at most `output_stride`; the result is enlarged, joined with the map of
    stride 4 and refined. A backbone that can dilate its last stages instead of striding keeps
    their depth at that stride; of others the stages beyond it are not used.

    Args:
        feature_info: Of each feature map its (channels, stride).
        output_stride: 16, or 8 for finer masks at several times the cost.
        width: Channels of its layers.
        rates: Of the dilated convolutions, in cells of the map; unless given, 6, 12 and 18 at
            stride 16 and 12, 24 and 36 at stride 8.
        dropout: Share of the pooled channels' values dropped in training.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If there are not as many classes as the mode takes, no loss, or a weight for
            none of them.
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
        # The cell beside those that are enlarged, and two convolutions of 3 cells on the low map.
        low = stride if self.low is None else feature_info[self.low][1]
        self.padding_reach = (max(rates) + 1) * stride + 3 * low
        before = width
        self.reduce = None
        if self.low is not None:
            self.reduce = ConvNorm(feature_info[self.low][0], LOW_WIDTH)
            before += LOW_WIDTH
        self.refine = nn.Sequential(
            ConvNorm(before, width, 3, separable=True), ConvNorm(width, width, 3, separable=True)
        )
        self.score = nn.Conv2d(width, self.outputs, 1)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a narrow one to try."""
        return {"width": 16, "rates": [1, 2, 3]}

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) of the size of the map with stride 4."""
        x: Tensor = self.pooling(features[self.high], frame)
        if self.reduce is not None and self.low is not None:
            low = self.reduce(features[self.low])
            x = torch.cat([resized(x, low.shape[-2:]), low], dim=1)
        scores: Tensor = self.score(self.refine(x))
        return scores


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: one map seen at several scales at once.

    Args:
        channels: Channels of its input.
        stride: Pixels of the image to a cell of its input.
        width: Channels of its output.
        rates: Dilation of each 3x3 convolution.
        dropout: Share of its output's values dropped in training.
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
        # No batch norm, for there is but one value an image, and a batch may be one image.
        self.whole = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU())
        self.project = nn.Sequential(ConvNorm(width * (len(rates) + 2), width), Dropout(dropout))

    def forward(self, x: Tensor, frame: Frame) -> Tensor:
        """Return (N, width, h, w) for (N, channels, h, w)."""
        whole = self.whole(pooled(x, self.stride, frame, 1)).expand(-1, -1, *x.shape[-2:])
        seen = [branch(x) for branch in self.branches]
        joined: Tensor = self.project(torch.cat([*seen, whole], dim=1))
        return joined


def _maps(
    feature_info: Mapping[str, tuple[int, int]], output_stride: int
) -> tuple[str, str | None]:
    """Return the map to pool, and the one for the borders if there is a finer one."""
    names = list(feature_info)
    strides = [stride for _, stride in feature_info.values()]
    high = max((i for i, s in enumerate(strides) if s <= output_stride), default=0)
    finer = [i for i in range(high) if strides[i] < strides[high]]
    if not finer:
        return names[high], None
    return names[high], names[min(finer, key=lambda i: abs(strides[i] - LOW_STRIDE))]
