"""Masks as COCO writes them: run lengths, and polygons that are only read."""

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
"""Pixels from the origin that a box or an outline may go."""

_MOST_SIDES = 100
"""So often an outline may go around a picture, besides over each pixel: it is drawn in steps."""

_NUMBERS = frozenset({int, float, np.float64})
"""Kinds of numbers that a place may be said in; `True` is none."""

_LONGEST = 60
"""Characters of a value from a file that an error tells."""


def encoded(mask: Tensor, top: int = 0, left: int = 0, size: tuple[int, int] | None = None) -> RLE:
    """Return the run lengths of a mask, of which only a part may be given.

    Args:
        mask: (h, w), bool or 0 and 1; all else of the image is 0.
        top: The mask's first row in the image.
        left: Its first column there.
        size: The image's (H, W); the mask's own unless given.
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
    """Return a mask of COCO's, (H, W) uint8 of 0 and 1.

    Args:
        segmentation: Run lengths, with `counts` as text or as a list, or polygons, each a list of
            x and y by turns, whose union it is.
        height: The image's.
        width: The image's.

    Raises:
        ValueError: If it is neither, or not of an image of this size; says why.
    """
    found = coco_mask.frPyObjects(drawable(segmentation, height, width), height, width)
    if isinstance(found, list):
        found = coco_mask.merge(found)
    return np.asarray(coco_mask.decode(found))


def drawable(segmentation: Any, height: int, width: int) -> Any:
    """Return a mask of COCO's as pycocotools draws it without harm, and without drawing it.

    Args:
        segmentation: As for `decoded`.
        height: The image's.
        width: The image's.

    Raises:
        ValueError: As `decoded` does.
    """
    if isinstance(segmentation, Mapping):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if not isinstance(size, list | tuple) or list(size) != [height, width]:
            raise ValueError(f"its size is {shown(size)}, and the image's [{height}, {width}]")
        runs = _runs(counts)
        # A library that is told less, or more, reads and writes where nothing is.
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
    """Return the polygons of a mask of COCO's, each of at least three points.

    Raises:
        ValueError: If there is none, or it is not a list of polygons; says why.
    """
    if not isinstance(segmentation, list):
        raise ValueError("it is neither run lengths nor a list of polygons")
    if not segmentation:
        raise ValueError("it has no polygon")
    return [_polygon(points) for points in segmentation]


def shown(value: object) -> str:
    """Return a value from a file as an error tells it: on one line, and not all of a long one."""
    text = printable(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _polygon(points: Any) -> list[float]:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise ValueError("a polygon is a list of x and y by turns, of three points at least")
    # A data set has millions of them, of which this is most of the time.
    wrong = [v for v in points if type(v) not in _NUMBERS or not -FARTHEST <= v <= FARTHEST]
    if wrong:
        raise ValueError(f"a polygon goes through {shown(wrong[0])}, which is no place")
    return points


def _length(points: list[float]) -> float:
    """Return how far a closed outline goes, in steps along the longer side of each edge."""
    corners = np.array(points, np.float64).reshape(-1, 2)
    steps = np.abs(np.diff(corners, axis=0, prepend=corners[-1:]))
    return float(steps.max(axis=1).sum())


def _runs(counts: Any) -> np.ndarray:
    """Return run lengths as int64, which they are in COCO's text five bits a letter."""
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
    valid = len(letters) and (letters >= 0).all() and (letters < 64).all()
    if not valid or ends[-1:].tolist() != [len(letters) - 1]:
        raise ValueError("its counts are damaged")
    begins = np.r_[0, ends[:-1] + 1]
    lengths = ends - begins + 1
    if lengths.max() > 7:  # five bits each, of 32
        raise ValueError("its counts are damaged")
    places = np.arange(len(letters)) - np.repeat(begins, lengths)
    runs = np.add.reduceat((letters & 31) << (5 * places), begins)
    runs -= np.where(letters[ends] & 16, np.int64(1) << (5 * lengths), 0)
    # From the fourth on each is told as the difference to the last but one.
    for first in (1, 2):
        runs[first::2] = runs[first::2].cumsum()
    return runs
