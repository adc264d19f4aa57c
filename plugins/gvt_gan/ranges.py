"""Ranges of pixel values."""

from torch import Tensor

Range = tuple[float, float]
"""The pixel values of black and white."""


def between(source: Range, target: Range, images: Tensor) -> Tensor:
    """Map images linearly from one range to another."""
    if source == target:
        return images
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return images * scale + (target[0] - source[0] * scale)
