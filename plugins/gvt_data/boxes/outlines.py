"""Check the outlines of objects, and draw them as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def why_not_drawn(outline: Any, size: tuple[int, int]) -> str | None:
    """Return why an outline cannot be drawn in an image; None if it can.

    Args:
        outline: Polygons or an RLE in COCO's format, in pixels.
        size: The image's (H, W).
    """
    from gvt.vision.coco import drawable

    try:
        drawable(outline, *size)
    except ValueError as error:
        return str(error)
    return "it is outside the image" if isinstance(outline, list) and _away(outline, size) else None


def drawn(outline: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of an outline, (H, W) uint8 of 0 and 1.

    Raises:
        ValueError: If it cannot be drawn. The message says why.
    """
    from gvt.vision.coco import decoded

    return decoded(outline, *size)


def box_around(outline: Any) -> tuple[float, float, float, float] | None:
    """Return the box around an outline, xyxy in pixels; None if the outline is not valid.

    Args:
        outline: Polygons or an RLE in COCO's format; the RLE's own size is used.
    """
    from pycocotools import mask as coco_mask

    from gvt.vision.coco import FARTHEST, drawable, polygons_of

    try:
        if not isinstance(outline, Mapping):
            points = [value for points in polygons_of(outline) for value in points]
            # Each polygon has as many x as y, so x and y alternate in the joined list.
            return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])
        size = outline.get("size")
        sides = size if isinstance(size, list | tuple) else ()
        if len(sides) != 2 or not all(type(n) is int and 0 < n <= FARTHEST for n in sides):
            return None
        runs = coco_mask.frPyObjects(drawable(outline, *sides), *sides)
    except ValueError:
        return None
    left, top, width, height = coco_mask.toBbox(runs).tolist()
    return (left, top, left + width, top + height) if width and height else None


def filled(box: Sequence[float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the mask of a box, xyxy, (H, W) uint8 of 0 and 1."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def _away(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> bool:
    """Return whether all polygons are outside the image."""
    height, width = size
    x = [value for points in polygons for value in points[::2]]
    y = [value for points in polygons for value in points[1::2]]
    return max(x) <= 0 or max(y) <= 0 or min(x) >= width or min(y) >= height
