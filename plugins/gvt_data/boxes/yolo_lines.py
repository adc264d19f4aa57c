"""Parse the lines of YOLO's text files: boxes, boxes with keypoints, and outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gvt.printable import printable

from .annotation import NO_BOX, Thing, malformed

Keypoints = tuple[int, int]
"""The number of keypoints behind each box, and the number of values per keypoint."""

FARTHEST = 2.0
"""The largest coordinate that may be a fraction of an image; larger ones are in pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line, which is one object.

    Attributes:
        path: The file.
        number: Number of the line, from 1.
        label: Name of the class, or `class_id NUMBER` for an index without a name; empty if the
            class is not an index.
        values: The numbers behind the class; NaN for a cell that is not a number.
        reason: The error in the class or in the notation of a number; empty if there is none.
    """

    path: Path
    number: int
    label: str
    values: tuple[float, ...]
    reason: str = ""

    @property
    def place(self) -> str:
        """The line in its file."""
        return f"line {self.number}"

    @property
    def where(self) -> str:
        """The file and the line, for messages."""
        return f"{printable(self.path)}: {self.place}"


def parsed(path: Path, text: str, names: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a file, without empty ones.

    Args:
        path: The file.
        text: Content of the file.
        names: Names of the classes; an index without a name has the label `class_id NUMBER`.
    """
    rows = ((number, row.split()) for number, row in enumerate(text.splitlines(), 1))
    return tuple(_line(path, number, cells, names) for number, cells in rows if cells)


def _line(path: Path, number: int, cells: Sequence[str], names: Sequence[str]) -> Line:
    class_id = _number(cells[0])
    values = tuple(_number(cell) for cell in cells[1:])
    if class_id < 0 or not class_id.is_integer():
        reason = f"{printable(cells[0])} is not the index of a class"
        if "," in cells[0] or ";" in cells[0]:
            reason = f"{printable(cells[0])}: the numbers are not separated by spaces"
        return Line(path, number, "", values, reason)
    label = names[int(class_id)] if class_id < len(names) else f"class_id {class_id:.0f}"
    invalid = next((cell for cell, v in zip(cells[1:], values, strict=True) if math.isnan(v)), None)
    return Line(path, number, label, values, _why_not_a_number(invalid) if invalid else "")


def _number(text: str) -> float:
    """Return the number in a cell; NaN if it is not a number."""
    try:
        return math.nan if "_" in text else float(text)  # Python reads 1_0 as 10
    except ValueError:
        return math.nan


def _why_not_a_number(cell: str) -> str:
    with_point = cell.replace(",", ".", 1)
    if "," in cell and not math.isnan(_number(with_point)):
        return f"{printable(cell)} has a decimal comma; write {printable(with_point)}"
    return f"{printable(cell)} is not a number"


def thing_of(line: Line, keypoints: Keypoints | None) -> Thing:
    """Return the object of a line, whose box and outline are fractions of the image.

    Args:
        line: The line.
        keypoints: The keypoints behind each box; None if lines are boxes and outlines.
    """
    values, count = line.values, len(line.values)
    if not line.label:
        return malformed(line.place, line.reason)
    if keypoints is not None and count != 4 + keypoints[0] * keypoints[1]:
        return malformed(line.place, _not_keypoints(count, keypoints), line.label)
    is_box = keypoints is not None or count == 4
    if not is_box and (count < 6 or count % 2):
        return malformed(line.place, _neither(count), line.label)
    if not all(map(math.isfinite, values)):
        return Thing(line.label, NO_BOX, None, line.place, reason=line.reason)
    if is_box:
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        outline, extent = None, values[:4]
    else:
        xs, ys = values[::2], values[1::2]
        box = (min(xs), min(ys), max(xs), max(ys))
        outline, extent = [[*values]], values
    if max(map(abs, extent)) <= FARTHEST:
        return Thing(line.label, box, outline, line.place)
    shown = " ".join(f"{value:g}" for value in extent[:4])
    return Thing(
        line.label,
        NO_BOX,
        None,
        line.place,
        fault="box in pixels instead of fractions",
        reason=f"{shown} look like pixels; YOLO's are fractions of the image's width and height",
    )


def _not_keypoints(count: int, keypoints: Keypoints) -> str:
    points, numbers = keypoints
    return (
        f"has {count} numbers after the class, but a box with {points} keypoints of {numbers} "
        f"(kpt_shape) has {4 + points * numbers}; for lines without keypoints, set "
        "data.keypoints=none"
    )


def _neither(count: int) -> str:
    text = f"has {count} numbers after the class"
    if count < 5:
        return f"{text}; a box has 4, an outline 6 or more"
    if count == 5:
        return f"{text}; the last may be a confidence, a track id or an angle; leave it out"
    if count % 3 == 1:
        points = (count - 4) // 3
        return (
            f"{text}: an outline and a confidence or a track id, which must be left out, or a box "
            f"and {points} keypoints, which need kpt_shape: [{points}, 3] in data.yaml"
        )
    return f"{text}; the last may be a confidence or a track id; leave it out"
