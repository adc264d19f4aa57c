"""The encoder of the U-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from gvt import Backbone
from gvt.vision.layers import DoubleConv

from .splitting import split_stages


class UNetEncoder(Backbone):
    """Double 3x3 convolutions with 2x2 max pooling between them (Ronneberger et al. 2015).

    Feature maps are `stage1` (N, width, H, W), `stage2` (N, 2 width, H/2, W/2) and so on, one more
    than there are poolings. Odd sizes are rounded up.

    With `padding: valid`, as in the paper (https://arxiv.org/abs/1505.04597), the image is
    extended by mirroring, as far as the head `unet` with valid convolutions needs to cover it:
    92 pixels at the top and the left with four poolings, and at least as many at the other sides.
    The maps then include the margin, which only that head supports.

    Args:
        image_shape: (C, H, W) of the images, if all have the same size.
        image_channels: Channels of the images, if `image_shape` is None; 3 by default.
        width: Channels of the first stage.
        depth: Number of poolings; each doubles the channels.
        norm: `batch` norm before each ReLU, or `none`, as in the paper.
        padding: `same` or `valid` convolutions.

    Raises:
        ValueError: If `image_channels` differs from `image_shape`.
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
        self.pool = nn.MaxPool2d(2, ceil_mode=padding == "same")
        self.stages = nn.ModuleDict()
        self.feature_info = {}
        for number in range(depth + 1):
            after = width * 2**number
            self.stages[f"stage{number + 1}"] = DoubleConv(before, after, norm, padding)
            self.feature_info[f"stage{number + 1}"] = (after, 2**number)
            before = after

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {"width": 4}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the feature map of each stage.

        Raises:
            ValueError: If the images have another number of channels.
        """
        if images.shape[1] != self.channels:
            raise ValueError(
                f"images of {images.shape[1]} channels, for a backbone of {self.channels}"
            )
        return self.contract(self.extended(images) if self.padding == "valid" else images)

    def contract(self, images: Tensor) -> dict[str, Tensor]:
        """Return the feature map of each stage, without extending the images."""
        features: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            images = features[name] = stage(self.pool(images) if features else images)
        return features

    def split(self, stage: str) -> tuple[Backbone, nn.Module]:
        """Return the stages up to a map, and those after it, each with the pooling before it."""
        return split_stages(self, stage, self.pool)

    def extended(self, images: Tensor) -> Tensor:
        """Return images extended by mirroring at all sides, for valid convolutions.

        The output of a decoder with valid convolutions starts at the first pixel of the image, and
        is at least as large as the image.
        """
        scale = 2**self.depth
        # Pixels of the image that the double convolutions before the last stage lose together.
        loss = 4 * (scale - 1)
        margin = 2 * scale + loss
        for side in (2, 3):
            size = images.shape[side]
            smallest = -(-(size + loss) // scale)  # rows of the last map
            indices = torch.arange(scale * (smallest + 4) + loss, device=images.device) - margin
            images = images.index_select(side, _mirrored(indices, size))
        return images


def _mirrored(indices: Tensor, size: int) -> Tensor:
    """Reflect indices at the first and the last of `size` pixels."""
    period = max(1, 2 * (size - 1))
    indices = indices.remainder(period)
    return torch.minimum(indices, period - indices).clamp(max=size - 1)
