"""The convolutional layers of the textbook CNN."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gvt import Backbone

from .splitting import split_stages

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class SmallCNN(Backbone):
    """Stages of a valid 3x3 convolution, ReLU and 2x2 max pooling, one for each width.

    Feature maps are `stage1` (N, widths[0], ~H/2, ~W/2), `stage2` (N, widths[1], ~H/4, ~W/4) and so
    on. Valid convolutions lose a pixel on each side, so 28x28 becomes 13x13 and 5x5.

    Args:
        image_shape: (C, H, W) of the images.
        widths: Channels of each stage.

    Raises:
        ValueError: If the images are too small for the stages.
    """

    def __init__(self, image_shape: tuple[int, int, int], widths: Widths = (32, 64)):
        super().__init__()
        channels, *size = image_shape
        self.stages = nn.ModuleDict()
        self.feature_info = {}
        for number, width in enumerate(widths, start=1):
            size = [(side - 2) // 2 for side in size]
            if min(size) < 1:
                raise ValueError(f"images {image_shape} are too small for {len(widths)} stages")
            name = f"stage{number}"
            # Pooling before ReLU gives the same values for a quarter of the work.
            self.stages[name] = nn.Sequential(
                nn.Conv2d(channels, width, 3), nn.MaxPool2d(2), nn.ReLU()
            )
            self.feature_info[name] = (width, 2**number)
            channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the feature map of each stage."""
        features = {}
        for name, stage in self.stages.items():
            images = features[name] = stage(images)
        return features

    def split(self, stage: str) -> tuple[Backbone, nn.Module]:
        """Return the stages up to a map, and those after it."""
        return split_stages(self, stage)
