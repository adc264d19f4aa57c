"""The contracting half of the U-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from gvt import Backbone
from gvt.vision.layers import DoubleConv


class UNetEncoder(Backbone):
    """Double 3x3 convolutions with 2x2 max pooling between them (Ronneberger and others, 2015).

    Its feature maps are `stage1` (N, width, H, W), `stage2` (N, 2 width, H/2, W/2) and so on, a
    stage more than there are poolings. Odd sizes are rounded up.

    With `padding: valid`, as in the paper (https://arxiv.org/abs/1505.04597), the image is
    extended by mirroring, as far as the head `unet` with valid convolutions needs to cover it:
    92 pixels at the top and the left with four poolings, and at least as many at the other sides.
    The maps then show the margin, too, which only that head can take.

    Args:
        image_shape: (C, H, W) of the images, where all are of one size.
        image_channels: Channels of the images, where `image_shape` does not say; 3 unless given.
        width: Channels of the first stage.
        depth: Number of poolings, each of which doubles the channels.
        norm: `batch` norm before each ReLU, or `none`, as in the paper.
        padding: `same` or `valid` convolutions.

    Raises:
        ValueError: If `image_channels` is not what `image_shape` says.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] | None = None,
        image_channels: PositiveInt | None = None,
        width: PositiveInt = 64,
        depth: NonNegativeInt = 4,
        norm: Literal["batch", "none"] = "batch",
        padding: Literal["same", "valid"] = "same",
    ) -> None:
        super().__init__()
        if image_shape is not None and image_channels not in (None, image_shape[0]):
            raise ValueError(f"image_channels {image_channels}, and images have {image_shape[0]}")
        before = image_shape[0] if image_shape else image_channels or 3
        self.channels, self.depth, self.padding = before, depth, padding
        self.stages = nn.ModuleDict()
        self.feature_info = {}
        for number in range(depth + 1):
            after = width * 2**number
            self.stages[f"stage{number + 1}"] = DoubleConv(before, after, norm, padding)
            self.feature_info[f"stage{number + 1}"] = (after, 2**number)
            before = after

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a small one to try."""
        return {"width": 4}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return every stage's feature map.

        Raises:
            ValueError: If the images have another number of channels.
        """
        if images.shape[1] != self.channels:
            raise ValueError(
                f"images of {images.shape[1]} channels, for a backbone of {self.channels}"
            )
        return self.contract(self.extended(images) if self.padding == "valid" else images)

    def contract(self, images: Tensor) -> dict[str, Tensor]:
        """Return every stage's feature map of images as they are, without extending them."""
        features: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            if features:
                images = F.max_pool2d(images, 2, ceil_mode=self.padding == "same")
            images = features[name] = stage(images)
        return features

    def extended(self, images: Tensor) -> Tensor:
        """Return images that are mirrored at their sides, for valid convolutions.

        What a decoder of valid convolutions makes of it begins at the image's first pixel, and
        is at least as large as the image.
        """
        scale = 2**self.depth
        # What each double convolution takes, in pixels, at all of the stages before this one.
        taken = 4 * (scale - 1)
        margin = 2 * scale + taken
        for side in (2, 3):
            size = images.shape[side]
            smallest = -(-(size + taken) // scale)  # rows of the last map
            place = torch.arange(scale * (smallest + 4) + taken, device=images.device) - margin
            images = images.index_select(side, _mirrored(place, size))
        return images


def _mirrored(place: Tensor, size: int) -> Tensor:
    """Return the places as seen in mirrors at the first and the last of `size` pixels."""
    period = max(1, 2 * (size - 1))
    place = place.remainder(period)
    return torch.minimum(place, period - place).clamp(max=size - 1)
