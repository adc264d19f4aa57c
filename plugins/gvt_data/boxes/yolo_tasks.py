"""Detect YOLO's text files for other tasks: keypoints, tracks and oriented boxes."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gvt import DataError

from .yolo_lines import FARTHEST, Line

_MOST = 0.9
"""The share of lines that decides on the task; a few lines may be wrong."""

_OVER = 0.02
"""How far a box may extend beyond the image, as a fraction of the image."""

_NEAR = 0.75
"""How far a corner may be from the box around the others, in sides of that box."""

_SAMPLE = 1000
"""The number of lines that are inspected, evenly spread over all."""


def check_outlines(lines: Sequence[Line]) -> None:
    """Check that lines longer than a box are outlines, and warn of oriented boxes.

    Lines are outlines if they have different numbers of points, if their first four numbers are
    not a box inside the image, or if they are polygons with the second corner near the others and
    without crossing sides. All other lines may be boxes with keypoints, or with a confidence and a
    track id, and are refused. Outlines that end with a confidence and a track id are refused, too.

    Args:
        lines: The lines of all files of a split.

    Raises:
        DataError: If the lines are not outlines, or may be something else.
    """
    longer = [line for line in lines if len(line.values) >= 6 and len(line.values) % 2 == 0]
    longer = [line for line in longer if line.label and all(map(math.isfinite, line.values))]
    longer = longer[:: -(-len(longer) // _SAMPLE) or 1]
    boxes = _possible_boxes(longer)
    count = len(boxes[0].values) if boxes else 0
    if points := _visibility_points(boxes):
        raise DataError(
            f"{boxes[0].where}: has {count} numbers after the class, as a box with {points} "
            f"keypoints has; set kpt_shape: [{points}, 3] in data.yaml, or "
            f"data.keypoints=[{points},3]. {_OTHERWISE}"
        )
    if _are_tracked(longer):
        raise DataError(
            f"{longer[0].where}: its last two numbers look like a confidence and a track id, as in "
            f"most lines; leave them out. {_OTHERWISE}"
        )
    if boxes and (count == 6 or np.mean([_is_outline(line) for line in boxes]) < _MOST):
        raise DataError(f"{boxes[0].where}: {_ambiguous(count)}. {_OTHERWISE}")
    if longer and all(map(_is_parallelogram, longer)) and not all(map(_is_upright, longer)):
        warnings.warn(
            f"{longer[0].where}: has the four corners of an oriented box, like all lines with more "
            "than x, y, width and height; it is read as an outline, and its box is the upright box "
            "around it",
            stacklevel=3,
        )


_OTHERWISE = "If all such lines are outlines, set data.keypoints=none"


def _ambiguous(count: int) -> str:
    if count == 6:
        return (
            "has 6 numbers after the class, which may be an outline of three points, or a box with "
            "a confidence and a track id; leave out the last two numbers of a box"
        )
    points = (count - 4) // 2
    shapes = [f"[{points},2]"] + ([f"[{(count - 4) // 3},3]"] if count % 3 == 1 else [])
    return (
        f"has {count} numbers after the class, which may be an outline of {count // 2} points, or "
        f"a box with keypoints; for keypoints, set data.keypoints={' or '.join(shapes)}, or "
        "kpt_shape in data.yaml"
    )


def _possible_boxes(lines: Sequence[Line]) -> list[Line]:
    """Return the lines that may begin with a box; empty unless most lines may."""
    counts = Counter(len(line.values) for line in lines).most_common(1)
    boxes = [line for line in lines if len(line.values) == counts[0][0] and _has_box(line)]
    return boxes if len(boxes) >= _MOST * len(lines) else []


def _has_box(line: Line) -> bool:
    """Return whether the first four numbers of a line are a box inside the image."""
    pairs = zip(line.values[:2], line.values[2:4], strict=True)
    return all(
        side > 0 and centre - side / 2 >= -_OVER and centre + side / 2 <= 1 + _OVER
        for centre, side in pairs
    )


def _visibility_points(lines: Sequence[Line]) -> int:
    """Return the number of keypoints if most lines have visibility flags; 0 otherwise."""
    if not lines or len(lines[0].values) % 3 != 1:
        return 0
    have_flags = [{0.0, 1.0, 2.0}.issuperset(line.values[6::3]) for line in lines]
    return (len(lines[0].values) - 4) // 3 if np.mean(have_flags) >= _MOST else 0


def _are_tracked(lines: Sequence[Line]) -> bool:
    """Return whether most lines end with an integer, and some of these are not coordinates."""
    numbers = [
        line.values[-1]
        for line in lines
        if line.values[-1].is_integer() and max(map(abs, line.values[:-1])) <= FARTHEST
    ]
    return bool(numbers) and len(numbers) >= _MOST * len(lines) and max(numbers) >= FARTHEST


def _is_parallelogram(line: Line) -> bool:
    """Return whether a line has four corners of a parallelogram, such as a rotated rectangle."""
    x, y = line.values[::2], line.values[1::2]
    return len(x) == 4 and all(abs(v[0] + v[2] - v[1] - v[3]) <= _OVER for v in (x, y))


def _is_upright(line: Line) -> bool:
    """Return whether the four corners of a line are those of the upright box around them."""
    x, y = sorted(line.values[::2]), sorted(line.values[1::2])
    return all(max(v[1] - v[0], v[3] - v[2]) <= _OVER * (v[3] - v[0]) for v in (x, y))


def _is_outline(line: Line) -> bool:
    """Return whether a line's numbers are a parallelogram, or the corners of a simple polygon.

    In a box with keypoints, the second pair is the width and height, which is near the keypoints
    only by chance.
    """
    if _is_parallelogram(line):
        return True
    corners = np.array(line.values).reshape(-1, 2)
    rest = np.delete(corners, 1, axis=0)
    low, high = rest.min(axis=0), rest.max(axis=0)
    margin = _NEAR * (high - low)
    near = (corners[1] >= low - margin) & (corners[1] <= high + margin)
    return bool(near.all()) and _is_simple(corners)


def _is_simple(start: NDArray[np.float64]) -> bool:
    """Return whether corners (N, 2) are a polygon whose sides do not cross or touch."""
    start = start[(start != np.roll(start, 1, axis=0)).any(axis=1)]  # without repeated corners
    end = np.roll(start, -1, axis=0)
    first, second = np.triu_indices(len(start), 2)
    apart = (first > 0) | (second < len(start) - 1)  # the last side meets the first one
    a, b, c, d = (points[at][apart] for at in (first, second) for points in (start, end))
    near = (np.minimum(a, b) <= np.maximum(c, d)) & (np.minimum(c, d) <= np.maximum(a, b))
    across = (_turn(a, b, c) * _turn(a, b, d) <= 0) & (_turn(c, d, a) * _turn(c, d, b) <= 0)
    return not bool((near.all(axis=1) & across).any())


def _turn(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sides of the lines from `a` to `b` on which the points `c` are: -1, 0 or 1.

    All points have shape (N, 2).
    """
    along, across = b - a, c - a
    return np.sign(along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0])
