"""Outlines of objects: which of them can be drawn, and the masks that they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AROUND = 100
"""Times the image's sides that an outline may be long without being drawn to see if it can be."""

_FAR = 1e5
"""Pixels from the image's corner that its points may be, likewise."""


def why_not_drawn(outline: Any, size: tuple[int, int]) -> str | None:
    """Return why an outline cannot be drawn in an image (H, W); None if it can.

    Args:
        outline: Polygons or an RLE, as COCO has them, in pixels.
        size: The image's (H, W).
    """
    if _surely_drawn(outline, size):
        return None
    try:
        drawn(outline, size)
    except ValueError as error:
        return str(error)
    return "it is outside the image" if isinstance(outline, list) and _away(outline, size) else None


def drawn(outline: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of an outline, (H, W) uint8 of 0 and 1.

    Raises:
        ValueError: If it cannot be drawn; says why.
    """
    from gvt.coco import decoded  # brings pycocotools, which boxes alone do not need

    return decoded(outline, *size)


def filled(box: Sequence[float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of a box, xyxy, (H, W) uint8 of 0 and 1."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def _surely_drawn(outline: Any, size: tuple[int, int]) -> bool:
    """Whether it is as most are; to draw those of a large data set only to see takes minutes."""
    height, width = size
    if isinstance(outline, Mapping):
        counts = outline.get("counts")
        return (
            outline.get("size") == [height, width]
            and isinstance(counts, list)
            and {*map(type, counts)} == {int}
            and min(counts) >= 0
            and sum(counts) == height * width
        )
    if not isinstance(outline, list) or not outline:
        return False
    if not all(map(_of_places, outline)) or _away(outline, size):
        return False
    # No edge is longer than the hull's longer side.
    longest = sum(len(points) / 2 * _side(points) for points in outline)
    return longest <= _AROUND * (height + width)


def _of_places(points: Any) -> bool:
    """Whether it is a list of x and y by turns, of three points at least."""
    return (
        isinstance(points, list)
        and len(points) >= 6
        and len(points) % 2 == 0
        and {*map(type, points)} <= {int, float}
        and min(points) >= -_FAR
        and max(points) <= _FAR
        and not math.isnan(sum(points))
    )


def _side(points: Sequence[float]) -> float:
    x, y = points[::2], points[1::2]
    return max(max(x) - min(x), max(y) - min(y))


def _away(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> bool:
    """Whether all of the polygons is outside the image."""
    height, width = size
    x = [value for points in polygons for value in points[::2]]
    y = [value for points in polygons for value in points[1::2]]
    return max(x) <= 0 or max(y) <= 0 or min(x) >= width or min(y) >= height
