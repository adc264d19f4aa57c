"""Ranges of the values of pixels."""

from torch import Tensor

Range = tuple[float, float]
"""The values that stand for black and for white."""


def between(source: Range, target: Range, images: Tensor) -> Tensor:
    """Return images mapped from one range to another, linearly."""
    if source == target:
        return images
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return images * scale + (target[0] - source[0] * scale)
