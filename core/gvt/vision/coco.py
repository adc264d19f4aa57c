"""COCO masks: run lengths, and polygons, which are only read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor

from gvt.printable import printable

__all__ = ["FARTHEST", "RLE", "decoded", "drawable", "encoded", "polygons_of", "shown"]

RLE = dict[str, Any]
"""A mask as COCO's run lengths: `size` [H, W], and `counts` as text."""

FARTHEST = 1e6
"""Largest distance of a box or an outline from the origin, in pixels."""

_MOST_SIDES = 100
"""Times that an outline may go around an image, in addition to once over each pixel."""

_NUMBERS = frozenset({int, float, np.float64})
"""Types of coordinates; `True` is not one."""

_LONGEST = 60
"""Characters of a value from a file that an error message shows."""


def encoded(mask: Tensor, top: int = 0, left: int = 0, size: tuple[int, int] | None = None) -> RLE:
    """Return the run lengths of a mask, or of a mask that is given in part.

    Args:
        mask: (h, w), bool or 0 and 1; the rest of the image is 0.
        top: First row of the mask in the image.
        left: First column of the mask in the image.
        size: (H, W) of the image; that of the mask by default.
    """
    height, width = mask.shape if size is None else size
    columns = np.pad(mask.detach().cpu().numpy().astype(np.int8).T, ((0, 0), (1, 1)))
    steps = np.diff(columns, axis=1)
    # Runs go down the columns, and continue from the bottom of one at the top of the next.
    begins, ends = (
        (left + column) * height + top + row
        for column, row in (np.nonzero(steps == sign) for sign in (1, -1))
    )
    apart = begins[1:] != ends[:-1]
    begins, ends = begins[np.r_[True, apart][: len(begins)]], ends[np.r_[apart, True][: len(ends)]]
    bounds = np.stack([begins, ends], axis=1).ravel()
    counts = np.diff(np.r_[0, bounds, height * width]).tolist()
    if len(counts) > 1 and not counts[-1]:
        counts.pop()
    runs = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": runs["counts"].decode("ascii")}


def decoded(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Return a COCO mask as (H, W) uint8 of 0 and 1.

    Args:
        segmentation: Run lengths, with `counts` as text or as a list; or polygons, each a list of
            alternating x and y, whose union is the mask.
        height: Height of the image.
        width: Width of the image.

    Raises:
        ValueError: If it is neither, or not of an image of this size. The message says why.
    """
    runs = coco_mask.frPyObjects(drawable(segmentation, height, width), height, width)
    return np.asarray(coco_mask.decode(coco_mask.merge(runs) if isinstance(runs, list) else runs))


def drawable(segmentation: Any, height: int, width: int) -> Any:
    """Return a COCO mask that pycocotools can draw safely; it is not drawn.

    Args:
        segmentation: As for `decoded`.
        height: Height of the image.
        width: Width of the image.

    Raises:
        ValueError: As for `decoded`.
    """
    if isinstance(segmentation, Mapping):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if not isinstance(size, list | tuple) or list(size) != [height, width]:
            raise ValueError(f"its size is {shown(size)}, and the image's [{height}, {width}]")
        runs = _runs(counts)
        # Otherwise pycocotools reads and writes outside its memory.
        if not (runs >= 0).all() or int(runs.sum()) != height * width:
            raise ValueError(f"its counts do not make {height} x {width} pixels")
        return {"size": [height, width], "counts": runs.tolist()}
    polygons = polygons_of(segmentation)
    length = sum(map(_length, polygons))
    if length > height * width + _MOST_SIDES * (height + width):
        raise ValueError(
            f"its outline of {length:.0f} pixels is too long for a picture of {height} x {width}"
        )
    return polygons


def polygons_of(segmentation: Any) -> list[list[float]]:
    """Return the polygons of a COCO mask, each of at least three points.

    Raises:
        ValueError: If there is none, or it is not a list of polygons. The message says why.
    """
    if not isinstance(segmentation, list):
        raise ValueError("it is neither run lengths nor a list of polygons")
    if not segmentation:
        raise ValueError("it has no polygon")
    return [_polygon(points) for points in segmentation]


def shown(value: object) -> str:
    """Return a value from a file for an error message: on one line, shortened if it is long."""
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _polygon(points: Any) -> list[float]:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise ValueError("a polygon is a list of x and y by turns, of three points at least")
    # A data set has millions of points, and this check takes most of the time.
    wrong = [v for v in points if type(v) not in _NUMBERS or not -FARTHEST <= v <= FARTHEST]
    if wrong:
        raise ValueError(f"a polygon goes through {shown(wrong[0])}, which is not a coordinate")
    return points


def _length(points: list[float]) -> float:
    """Return the length of a closed outline, in steps along the longer side of each edge."""
    corners = np.array(points, np.float64).reshape(-1, 2)
    steps = np.abs(np.diff(corners, axis=0, prepend=corners[-1:]))
    return float(steps.max(axis=1).sum())


def _runs(counts: Any) -> np.ndarray:
    """Return run lengths as int64; COCO's text has five bits of them in a letter."""
    if isinstance(counts, list):
        if not all(type(count) is int and abs(count) < 2**32 for count in counts):
            raise ValueError("its counts are not all whole numbers")
        return np.array(counts, np.int64)
    if isinstance(counts, str):
        counts = counts.encode("ascii", "replace")
    if not isinstance(counts, bytes):
        raise ValueError("it has neither counts nor polygons")
    letters = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(letters & 32 == 0)
    valid = (letters >= 0).all() and (letters < 64).all()
    begins = np.r_[0, ends[:-1] + 1]
    lengths = np.diff(ends, prepend=-1)  # at most seven letters of five bits for 32 bits
    if not valid or ends[-1:].tolist() != [len(letters) - 1] or lengths.max(initial=0) > 7:
        raise ValueError("its counts are damaged")
    places = np.arange(len(letters)) - np.repeat(begins, lengths)
    runs = np.add.reduceat((letters & 31) << (5 * places), begins)
    runs -= np.where(letters[ends] & 16, np.int64(1) << (5 * lengths), 0)
    # From the fourth on, each is the difference to the last but one.
    for first in (1, 2):
        runs[first::2] = runs[first::2].cumsum()
    return runs
