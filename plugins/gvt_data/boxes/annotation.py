"""What files say of pictures with boxes, whatever their format."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


class AssumedWarning(UserWarning):
    """Something in annotations was taken otherwise than it is written."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object, as a file has it.

    Attributes:
        label: The name of its class, or what stands for one.
        box: Left, top, right and bottom in pixels from the image's corner; NaN what is no number.
        outline: Polygons or an RLE, as COCO has them; None where only the box is known.
        place: Which one of its file it is, as in `object 3`.
        ignored: Whether it is neither right nor wrong to find it, as a crowd, and nothing is
            learned from it.
        fault: What is wrong with the entry itself, one of `checks.KINDS`; such an object is never
            used. Empty where nothing is.
        reason: The fault's cause in words; empty where the kind says it all.
    """

    label: str
    box: tuple[float, float, float, float]
    outline: Any = None
    place: str = ""
    ignored: bool = False
    fault: str = ""
    reason: str = ""


NO_BOX = (math.nan,) * 4
"""The box of an object whose entry has none."""


def malformed(place: str, reason: str, label: str = "") -> Thing:
    """Return what stands for an entry that cannot be read.

    Args:
        place: Which one of its file it is.
        reason: Why it cannot be read.
        label: The name of its class, where that is known.
    """
    return Thing(label, NO_BOX, None, place, fault="malformed annotation", reason=reason)


@dataclass(frozen=True, slots=True)
class Annotated:
    """One picture with its objects.

    Attributes:
        name: What it is called below the root, which a fingerprint and messages have.
        image: Its file, which may be missing.
        said: What says so, which messages name.
        things: Its objects.
        size: (H, W) by what is said of it; None where nothing is said.
        id: Its number in a COCO file.
        relative: Whether boxes and polygons are shares of its width and height.
        unsaid: Where what is said of it would be, if nothing is and that is a mistake.
        broken: Why what is said of it cannot be read at all; None where it can.
    """

    name: str
    image: Path
    said: str
    things: tuple[Thing, ...] = ()
    size: tuple[int, int] | None = None
    id: int | None = None
    relative: bool = False
    unsaid: str | None = None
    broken: str | None = None

    def in_pixels(self, size: tuple[int, int]) -> tuple[Thing, ...]:
        """Return its objects in pixels of the picture, whose (H, W) is known."""
        if not self.relative:
            return self.things
        height, width = size
        return tuple(_scaled(thing, width, height) for thing in self.things)


def _scaled(thing: Thing, width: int, height: int) -> Thing:
    left, top, right, bottom = thing.box
    box = (left * width, top * height, right * width, bottom * height)
    outline = thing.outline and [
        [value * (width, height)[at % 2] for at, value in enumerate(points)]
        for points in thing.outline
    ]
    return replace(thing, box=box, outline=outline)
