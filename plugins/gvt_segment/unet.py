"""The expanding half of the U-Net, on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import ceil, log2
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import ConfigError, Frame, PassedTo
from gvt.vision.layers import DoubleConv

from .dense import DenseHead, resized

Up = Literal["transpose", "nearest", "bilinear"]

Widths = tuple[int, ...] | Literal["auto"] | None

PER_STRIDE, WIDEST = 16, 256
"""Least channels of a step for each pixel of its stride, and the most of these."""

FOR_SCORES = 64
"""The most channels that a step has only for the number of scores."""


class UNet(DenseHead):
    """From the coarsest map on: enlarge, join the next finer map, convolve twice.

    The U-Net (Ronneberger and others, 2015, https://arxiv.org/abs/1505.04597) with any backbone as
    its contracting half. Where the finest map is coarser than the picture, it goes on without
    skips. The paper's own network is `backbone: {name: unet_encoder, norm: none, padding: valid}`
    with `up: transpose, norm: none, padding: valid`.

    Args:
        feature_info: Of each feature map its (channels, stride).
        widths: Channels after each step, from coarse to fine: one for each map but the coarsest,
            and further ones for steps without skip. `auto` goes as far as the image's size; a step
            that ends at stride s has 16 s channels, 256 at most, but never fewer than the map that
            is joined (where there is none, than half of the step before), nor than there are
            scores, 64 at most. None is the same without the lower bounds, as before format 2 of
            checkpoints: on backbones with narrow fine maps too few to tell many classes apart.
        up: How maps are enlarged: `transpose` by a convolution that learns it, `nearest` or
            `bilinear` without.
        norm: `batch` norm before each ReLU, or `none`, as in the paper.
        padding: `same`, or the paper's `valid`, for a backbone that extends the image.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If there are too few or too many widths, not as many classes as the mode
            takes, no loss, or a weight for none of them.
    """

    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"widths": None}

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        widths: tuple[PositiveInt, ...] | Literal["auto"] | None = "auto",
        up: Up = "bilinear",
        norm: Literal["batch", "none"] = "batch",
        padding: Literal["same", "valid"] = "same",
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        self.names, self.padding = list(feature_info)[::-1], padding
        before = feature_info[self.names[0]][0]
        self.steps = nn.ModuleList()
        stride = self.padding_reach = feature_info[self.names[0]][1]
        for width, skip, ratio in _plan(feature_info, widths, self.outputs):
            self.steps.append(_Step(before, width, skip, ratio, up, norm, padding))
            before, stride = width, max(1, stride // ratio)
            # Two convolutions of 3 cells, and the cell beside those that are enlarged.
            self.padding_reach += (2 + ratio) * stride
        self.score = nn.Conv2d(before, self.outputs, 1)

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) at the stride of the last step.

        Raises:
            ConfigError: If valid convolutions leave less than the picture.
        """
        scores = self.expand(features)
        if self.padding == "same":
            return scores
        height, width = frame.canvas
        if scores.shape[-2] < height or scores.shape[-1] < width:
            raise ConfigError(
                f"valid convolutions leave {scores.shape[-2]}x{scores.shape[-1]} of a picture of "
                f"{height}x{width}; padding: valid takes the backbone unet_encoder, which extends "
                "it, with the same padding"
            )
        return scores[..., :height, :width]

    def expand(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the scores of feature maps as they are, nothing cropped or resized."""
        x, *skips = (features[name] for name in self.names)
        for number, step in enumerate(self.steps):
            x = step(x, skips[number] if number < len(skips) else None)
        scores: Tensor = self.score(x)
        return scores

    def _check_maps(self, features: Mapping[str, Tensor], canvas: tuple[int, int]) -> None:
        if self.padding == "same":
            super()._check_maps(features, canvas)


class _Step(nn.Module):
    """One level of the decoder.

    Args:
        channels: Channels of what is enlarged.
        width: Channels of what comes out.
        skip: Channels of what is joined, 0 for nothing.
        ratio: By how much it is enlarged.
        up: How.
        norm: That of the convolutions.
        padding: Likewise.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        skip: int,
        ratio: int,
        up: Up,
        norm: Literal["batch", "none"],
        padding: Literal["same", "valid"],
    ) -> None:
        super().__init__()
        self.ratio, self.up, self.padding = ratio, up, padding
        self.transpose = None
        if up == "transpose":
            self.transpose = nn.ConvTranspose2d(channels, width, ratio, stride=ratio)
            channels = width
        self.convs = DoubleConv(channels + skip, width, norm, padding)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Return x enlarged to the size of the skip, joined and convolved."""
        height, width = x.shape[-2:]
        size = (height * self.ratio, width * self.ratio)
        if skip is not None and self.padding == "valid":
            skip = _centre(skip, size)
        if skip is not None:
            size = (skip.shape[-2], skip.shape[-1])
        if self.transpose is not None:
            # Sizes are rounded up on the way down, so that what is too much is at the far sides.
            x = resized(self.transpose(x)[..., : size[0], : size[1]], size)
        else:
            x = resized(x, size, self.up)
        if skip is not None:
            x = torch.cat([skip, x], dim=1)
        enlarged: Tensor = self.convs(x)
        return enlarged


def _plan(
    feature_info: Mapping[str, tuple[int, int]], widths: Widths, scores: int
) -> list[tuple[int, int, int]]:
    """Return the width, the skip's channels and the ratio of every step, from coarse to fine.

    Raises:
        ValueError: If there are too few or too many widths.
    """
    channels = [of_map for of_map, _ in feature_info.values()][::-1]
    strides = [stride for _, stride in feature_info.values()][::-1]
    ratios = [max(1, round(coarse / fine)) for coarse, fine in pairwise(strides)]
    skips, further = channels[1:], ceil(log2(strides[-1]))
    if widths is None:
        last = channels[-1]
        more = [max(1, last >> number) for number in range(1, further + 1)]
        widths = (*skips, *more)
    elif widths == "auto":
        widths = _chosen_widths(channels, strides, further, scores)
    if not len(skips) <= len(widths) <= len(skips) + further:
        raise ValueError(
            f"widths: has {len(widths)}; with {len(channels)} maps and a finest stride of "
            f"{strides[-1]} it takes {len(skips)} to {len(skips) + further}"
        )
    beyond = len(widths) - len(skips)
    return list(zip(widths, skips + [0] * beyond, ratios + [2] * beyond, strict=True))


def _chosen_widths(
    channels: list[int], strides: list[int], further: int, scores: int
) -> tuple[int, ...]:
    """Return the width of every step that `auto` comes to.

    Args:
        channels: Channels of all maps, from coarse to fine.
        strides: Strides of all maps.
        further: How many steps without skip follow.
        scores: Scores of each pixel.
    """

    def least(stride: float) -> int:
        return max(min(round(PER_STRIDE * stride), WIDEST), min(scores, FOR_SCORES))

    joined = zip(channels[1:], strides[1:], strict=True)
    widths = [max(skip, least(stride)) for skip, stride in joined]
    width, stride = widths[-1] if widths else channels[0], float(strides[-1])
    for _ in range(further):
        stride /= 2
        width = max(width // 2, least(stride))
        widths.append(width)
    return tuple(widths)


def _centre(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle of maps (N, C, H, W), of a size that is smaller by an even number."""
    top, left = (maps.shape[-2] - size[0]) // 2, (maps.shape[-1] - size[1]) // 2
    if min(top, left) < 0:
        raise ConfigError(
            f"a map of {maps.shape[-2]}x{maps.shape[-1]} cannot be joined to one of "
            f"{size[0]}x{size[1]}; padding: valid takes the backbone unet_encoder with the same"
        )
    return maps[..., top : top + size[0], left : left + size[1]]
