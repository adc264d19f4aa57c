"""Annotated images and objects, the same for all file formats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


class AssumedWarning(UserWarning):
    """An annotation was interpreted differently from how it is written."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One annotated object of an image.

    Attributes:
        label: The name of its class, or a substitute for an unknown class.
        box: Left, top, right and bottom in pixels from the image's top left corner; NaN for a
            value that is not a number.
        outline: Polygons or an RLE in COCO's format; None if there is only a box.
        place: Its position in its file, such as `object 3`.
        ignored: Whether the object, such as a crowd, is excluded from training, and detections of
            it count neither as correct nor as false.
        fault: The error of the entry itself, one of `checks.KINDS`; such an object is never used.
            Empty if there is none.
        reason: The cause of the fault; empty if the fault explains itself.
    """

    label: str
    box: tuple[float, float, float, float]
    outline: Any = None
    place: str = ""
    ignored: bool = False
    fault: str = ""
    reason: str = ""


NO_BOX = (math.nan,) * 4
"""The box of an object without one."""


def malformed(place: str, reason: str, label: str = "") -> Thing:
    """Return the substitute for an entry that cannot be read.

    Args:
        place: Its position in its file.
        reason: Why it cannot be read.
        label: The name of its class, if it is known.
    """
    return Thing(label, NO_BOX, None, place, fault="malformed annotation", reason=reason)


@dataclass(frozen=True, slots=True)
class Annotated:
    """One image with its objects.

    Attributes:
        name: Its name relative to the root, used in the fingerprint and in messages.
        image: The image file, which may be missing.
        source: The annotation file, for messages.
        things: Its objects.
        size: (H, W) according to the annotation; None if it has no size.
        id: Its id in a COCO file.
        relative: Whether boxes and polygons are fractions of the image's width and height.
        missing: The expected path of the annotation, if it is required and absent.
        broken: Why the annotation cannot be read; None if it can.
    """

    name: str
    image: Path
    source: str
    things: tuple[Thing, ...] = ()
    size: tuple[int, int] | None = None
    id: int | None = None
    relative: bool = False
    missing: str | None = None
    broken: str | None = None

    def in_pixels(self, size: tuple[int, int]) -> tuple[Thing, ...]:
        """Return the objects in pixels of an image (H, W)."""
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
