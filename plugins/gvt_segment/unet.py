"""U-Net decoder on any backbone."""

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
"""Channels of a step for each pixel of its stride, and their maximum, as a lower bound."""

FOR_SCORES = 64
"""Maximum of the lower bound for the number of scores."""


class UNet(DenseHead):
    """U-Net decoder: upsample, concatenate the next finer map, and convolve twice, repeatedly.

    The U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) with any backbone as its
    encoder. If the finest map is coarser than the image, steps without skip follow. The model of
    the paper is `backbone: {name: unet_encoder, norm: none, padding: valid}` with
    `up: transpose, norm: none, padding: valid`.

    Args:
        feature_info: The (channels, stride) of each feature map.
        widths: Channels after each step, from coarse to fine: one for each map but the coarsest,
            optionally more for steps without skip. `auto` continues to the size of the image. A
            step that ends at stride s has 16 s channels, at most 256, but at least those of its
            skip (without skip, half of the step before) and the number of scores, up to 64. None
            has no such lower bounds, as before format 2 of checkpoints: backbones with narrow
            fine maps then have too few channels for many classes.
        up: Upsampling: `transpose` for transposed convolutions, `nearest` or `bilinear`.
        norm: `batch` norm before each ReLU, or `none`, as in the paper.
        padding: `same`, or the paper's `valid`, for a backbone that extends the image.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If there are too few or too many widths, the number of classes does not fit
            the mode, there are no losses, or `weights` names an unknown loss.
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
            # Two 3x3 convolutions, and the neighbouring cell in upsampling.
            self.padding_reach += (2 + ratio) * stride
        self.score = nn.Conv2d(before, self.outputs, 1)

    def logits(self, features: Mapping[str, Tensor], frame: Frame) -> Tensor:
        """Return (N, outputs, h, w) at the stride of the last step.

        Raises:
            ConfigError: If the output of valid convolutions is smaller than the image.
        """
        scores = self.expand(features)
        if self.padding == "same":
            return scores
        height, width = frame.canvas
        if scores.shape[-2] < height or scores.shape[-1] < width:
            raise ConfigError(
                f"padding: valid convolutions leave {scores.shape[-2]}x{scores.shape[-1]} of an "
                f"image of {height}x{width}; use the backbone unet_encoder, which extends the "
                "image, with padding: valid"
            )
        return scores[..., :height, :width]

    def expand(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return the scores of feature maps, neither cropped nor resized."""
        x, *skips = (features[name] for name in self.names)
        for number, step in enumerate(self.steps):
            x = step(x, skips[number] if number < len(skips) else None)
        scores: Tensor = self.score(x)
        return scores

    def _check_maps(self, features: Mapping[str, Tensor], canvas: tuple[int, int]) -> None:
        if self.padding == "same":
            super()._check_maps(features, canvas)


class _Step(nn.Module):
    """One step of the decoder.

    Args:
        channels: Channels of the input.
        width: Channels of the output.
        skip: Channels of the skip, 0 without one.
        ratio: Factor of upsampling.
        up: Upsampling.
        norm: Normalisation of the convolutions.
        padding: Padding of the convolutions.
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
        """Upsample x to the size of the skip, concatenate and convolve."""
        height, width = x.shape[-2:]
        size = (height * self.ratio, width * self.ratio)
        if skip is not None and self.padding == "valid":
            skip = _centre(skip, size)
        if skip is not None:
            size = (skip.shape[-2], skip.shape[-1])
        if self.transpose is not None:
            # Sizes are rounded up in the encoder, so the excess is at the right and the bottom.
            x = resized(self.transpose(x)[..., : size[0], : size[1]], size)
        else:
            x = resized(x, size, self.up)
        if skip is not None:
            x = torch.cat([skip, x], dim=1)
        output: Tensor = self.convs(x)
        return output


def _plan(
    feature_info: Mapping[str, tuple[int, int]], widths: Widths, scores: int
) -> list[tuple[int, int, int]]:
    """Return the width, the channels of the skip and the ratio of each step, from coarse to fine.

    Raises:
        ValueError: If there are too few or too many widths.
    """
    channels = [width for width, _ in feature_info.values()][::-1]
    strides = [stride for _, stride in feature_info.values()][::-1]
    ratios = [max(1, round(coarse / fine)) for coarse, fine in pairwise(strides)]
    skips, further = channels[1:], ceil(log2(strides[-1]))
    if widths is None:
        last = channels[-1]
        more = [max(1, last >> number) for number in range(1, further + 1)]
        widths = (*skips, *more)
    elif widths == "auto":
        widths = _auto_widths(channels, strides, further, scores)
    if not len(skips) <= len(widths) <= len(skips) + further:
        raise ValueError(
            f"widths: has {len(widths)}; {len(channels)} maps and a finest stride of {strides[-1]} "
            f"need {len(skips)} to {len(skips) + further}"
        )
    rest = len(widths) - len(skips)
    return list(zip(widths, skips + [0] * rest, ratios + [2] * rest, strict=True))


def _auto_widths(
    channels: list[int], strides: list[int], further: int, scores: int
) -> tuple[int, ...]:
    """Return the width of each step for `auto`.

    Args:
        channels: Channels of all maps, from coarse to fine.
        strides: Strides of all maps.
        further: Number of steps without skip.
        scores: Number of scores of each pixel.
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
    """Return the centre of maps (N, C, H, W), for a size that is smaller by an even number."""
    top, left = (maps.shape[-2] - size[0]) // 2, (maps.shape[-1] - size[1]) // 2
    if min(top, left) < 0:
        raise ConfigError(
            f"a map of {maps.shape[-2]}x{maps.shape[-1]} cannot be cropped to {size[0]}x{size[1]}; "
            "padding: valid needs the backbone unet_encoder with padding: valid"
        )
    return maps[..., top : top + size[0], left : left + size[1]]
