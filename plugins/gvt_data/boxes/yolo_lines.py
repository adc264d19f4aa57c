"""The lines of YOLO's text files: boxes, boxes with keypoints, outlines, and what is neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gvt.printable import printable

from .annotation import NO_BOX, Thing, malformed

EXPECTED = "a line is a class's number and x, y, width and height of a box, or a polygon's x and y"

Keypoints = tuple[int, int]
"""How many keypoints there are behind each box, and how many numbers each of them has."""

FARTHEST = 2.0
"""The largest coordinate that may be a fraction of an image; larger ones are pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object's line.

    Attributes:
        path: Its file.
        number: Of the line, from 1.
        label: The name of its class, `class_id NUMBER` for a number without one; empty where the
            class is not a number.
        values: The numbers behind the class; NaN for what is not a number.
        reason: What is wrong with the class, or with how numbers are written; empty where nothing
            is.
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
    """Return the lines of a file that are not empty.

    Args:
        path: The file.
        text: What is in it.
        names: Of the classes; a number that has none becomes the label `class_id NUMBER`.
    """
    rows = ((number, row.split()) for number, row in enumerate(text.splitlines(), 1))
    return tuple(_line(path, number, cells, names) for number, cells in rows if cells)


def _line(path: Path, number: int, cells: Sequence[str], names: Sequence[str]) -> Line:
    class_id = _number(cells[0])
    values = tuple(_number(cell) for cell in cells[1:])
    if class_id < 0 or not class_id.is_integer():
        reason = f"{printable(cells[0])} is not a class's number"
        if "," in cells[0] or ";" in cells[0]:
            reason = f"{printable(cells[0])}: the numbers are not separated by spaces"
        return Line(path, number, "", values, reason)
    label = names[int(class_id)] if class_id < len(names) else f"class_id {class_id:.0f}"
    wrong = next((cell for cell, v in zip(cells[1:], values, strict=True) if math.isnan(v)), None)
    return Line(path, number, label, values, _why_not_a_number(wrong) if wrong else "")


def _number(text: str) -> float:
    """Return what a cell says; NaN where that is not a number."""
    try:
        return math.nan if "_" in text else float(text)  # Python takes 1_0 for 10
    except ValueError:
        return math.nan


def _why_not_a_number(cell: str) -> str:
    if not math.isnan(_number(cell.replace(",", ".", 1))) and "," in cell:
        point = printable(cell.replace(",", ".", 1))
        return f"{printable(cell)} has a decimal comma; write {point}"
    return f"{printable(cell)} is not a number"


def thing_of(line: Line, keypoints: Keypoints | None) -> Thing:
    """Return the object of a line, its box and outline in fractions of the image.

    Args:
        line: The line.
        keypoints: What follows the box on each line; None where lines are boxes and outlines.
    """
    values, count = line.values, len(line.values)
    if not line.label:
        return malformed(line.place, line.reason)
    if keypoints is not None and count != 4 + keypoints[0] * keypoints[1]:
        return malformed(line.place, _unlike_keypoints(count, keypoints), line.label)
    boxed = keypoints is not None or count == 4
    if not boxed and (count < 6 or count % 2):
        return malformed(line.place, _neither(count), line.label)
    if not all(map(math.isfinite, values)):
        return Thing(line.label, NO_BOX, None, line.place, reason=line.reason)
    if boxed:
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        outline, extent = None, values[:4]
    else:
        sides = values[::2], values[1::2]
        box = (min(sides[0]), min(sides[1]), max(sides[0]), max(sides[1]))
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
        reason=f"{shown} look like pixels; YOLO wants fractions of the image's width and height",
    )


def _unlike_keypoints(count: int, keypoints: Keypoints) -> str:
    points, numbers = keypoints
    return (
        f"has {count} numbers behind its class, and a box with {points} keypoints of {numbers} "
        f"(kpt_shape) has {4 + points * numbers}; if lines have none, say data.keypoints=none"
    )


def _neither(count: int) -> str:
    text = f"has {count} numbers behind its class"
    if count < 5:
        return f"{text}; a box has 4, and an outline 6 or more"
    if count == 5:
        return (
            f"{text}, of which the last may be a confidence, a track id or an angle; leave it out"
        )
    if count % 3 == 1:
        points = (count - 4) // 3
        return (
            f"{text}: an outline and a confidence or a track id, which must be left out, or a box "
            f"and {points} keypoints, for which data.yaml says kpt_shape: [{points}, 3]"
        )
    return f"{text}, of which the last may be a confidence or a track id; leave it out"
