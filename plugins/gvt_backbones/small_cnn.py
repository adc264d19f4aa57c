"""The textbook's convolutional network, without its dense layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gvt import Backbone

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class SmallCNN(Backbone):
    """Of each width a valid 3x3 convolution, ReLU and 2x2 max pooling.

    Its feature maps are `stage1` (N, widths[0], ~H/2, ~W/2), `stage2` (N, widths[1], ~H/4, ~W/4)
    and so on; valid convolutions lose a pixel on each side, so 28x28 gives 13x13 and 5x5.

    Args:
        image_shape: (C, H, W) of the images.
        widths: Channels of each stage.

    Raises:
        ValueError: If nothing is left of an image after the last stage.
    """

    def __init__(self, image_shape: tuple[int, int, int], widths: Widths = (32, 64)):
        super().__init__()
        channels, *size = image_shape
        self.stages = nn.ModuleDict()
        self.feature_info = {}
        for number, width in enumerate(widths, start=1):
            size = [(side - 2) // 2 for side in size]
            if min(size) < 1:
                raise ValueError(f"{len(widths)} stages leave nothing of images {image_shape}")
            name = f"stage{number}"
            # Pooling before ReLU gives the same values from a quarter of the work.
            self.stages[name] = nn.Sequential(
                nn.Conv2d(channels, width, 3), nn.MaxPool2d(2), nn.ReLU()
            )
            self.feature_info[name] = (width, 2**number)
            channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return every stage's feature map."""
        features = {}
        for name, stage in self.stages.items():
            images = features[name] = stage(images)
        return features
