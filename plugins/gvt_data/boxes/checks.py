"""Check annotated images, once, when a data set is opened."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture

from ..broken import threads
from ..header import read_header
from .annotation import Annotated, AssumedWarning, Thing
from .duplicates import duplicates
from .outlines import why_not_drawn
from .pairing import there

OnError = Literal["error", "clip", "skip"]
"""How problems are handled; see `check_images`."""

ROUNDING = 1.0
"""Pixels by which a box may extend beyond its image without a warning; it is clipped."""

PARTLY = "box partly outside the image"

KINDS = {
    "unknown label": "unknown labels",
    "malformed annotation": "malformed annotations",
    "box in pixels instead of fractions": "boxes in pixels instead of fractions",
    "object without a box": "objects without boxes",
    "box that is not a number": "boxes that are not numbers",
    "box with reversed corners": "boxes with reversed corners",
    "box without area": "boxes without area",
    "box outside the image": "boxes outside the image",
    PARTLY: "boxes partly outside the image",
    "outline that cannot be drawn": "outlines that cannot be drawn",
    "annotation of an unknown image": "annotations of unknown images",
    "malformed image entry": "malformed image entries",
    "image listed twice": "images listed twice",
    "repeated image id": "repeated image ids",
    "malformed category": "malformed categories",
    "repeated category": "repeated categories",
    "missing image": "missing images",
    "unreadable image": "unreadable images",
    "missing annotation": "missing annotations",
    "unreadable annotation": "unreadable annotations",
    "image of another size": "images of another size",
}
"""The kinds of problems, in the singular and in the plural."""

_FIRST = 10
"""The number of places listed in a warning or an error."""

FEW = 3
"""The number of places listed as examples of similar ones."""

Problems = dict[str, list[str]]
"""The places of the problems by kind, each with its file."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Boxed:
    """A checked image with valid objects.

    Attributes:
        annotated: The image with the kept objects alone, in pixels. Their boxes extend beyond the
            image by `ROUNDING` at most.
        size: The image's (H, W).
        boxes: (M, 4) float32, xyxy in pixels, inside the image.
        labels: (M,) int64, class indices.
        counted: (M,) bool, False for ignored objects.
        repeated: The places of dropped duplicates, each with the place of the object it repeats.
    """

    annotated: Annotated
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    counted: NDArray[np.bool_]
    repeated: tuple[str, ...] = ()

    @property
    def outlined(self) -> bool:
        """Whether all objects that are not ignored have outlines."""
        return all(thing.outline or thing.ignored for thing in self.annotated.things)


def fault(box: Box, size: tuple[int, int]) -> str | None:
    """Return the kind of problem of a box, xyxy in pixels, in an image (H, W); None if valid.

    A box may extend beyond the image by `ROUNDING`.
    """
    left, top, right, bottom = box
    if not all(map(math.isfinite, box)):
        return "box that is not a number"
    if right < left or bottom < top:
        return "box with reversed corners"
    if right == left or bottom == top:
        return "box without area"
    height, width = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "box outside the image"
    if not _has_area(clipped(box, size)):
        return "box without area"
    excess = max(-left, -top, right - width, bottom - height)
    return PARTLY if excess > ROUNDING else None


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box inside an image (H, W)."""
    height, width = size
    left, top, right, bottom = box
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )


def _has_area(box: Box) -> bool:
    """Return whether a box has an area after conversion to float32, the type of targets."""
    left, top, right, bottom = map(np.float32, box)
    return bool(right > left and bottom > top)


def check_images(
    images: Sequence[Annotated],
    classes: Sequence[str],
    on_error: OnError,
    split: str,
    earlier: Mapping[str, Sequence[str]],
    page: int | None = None,
) -> tuple[list[Boxed], Problems]:
    """Return the usable images with their valid boxes, and the problems of the others.

    Args:
        images: The images of a split. Their sizes are read, and no pixels are decoded.
        classes: The names of the classes.
        on_error: `error` raises if there is a problem; `clip` clips boxes partly outside the image
            at its edge, and drops other boxes and images with problems; `skip` drops all of them.
            Both warn. An image is dropped with all its boxes.
        split: The split of the images, for messages.
        earlier: Problems of the split that were detected before.
        page: The image to read in a file of several, from 1; the first by default.

    Raises:
        DataError: If there is a problem and `on_error` is `error`.
    """
    with threads() as pool:
        sizes = list(pool.map(partial(_size_or_problem, page=page), images))
    indices = {name: index for index, name in enumerate(classes)}
    problems: Problems = {kind: [*earlier.get(kind, ())] for kind in KINDS}
    usable = []
    for image, size in zip(images, sizes, strict=True):
        if isinstance(size[0], str):
            problems[size[0]].append(str(size[1]))
        else:
            usable.append(_boxed(image, (size[0], int(size[1])), indices, on_error, problems))
    problems = {kind: places for kind, places in problems.items() if places}
    if problems and on_error == "error":
        raise _error(problems, len(images), split)
    if problems:
        warnings.warn(_warning(problems, split, on_error), stacklevel=4)
    return usable, problems


def _size_or_problem(image: Annotated, page: int | None) -> tuple[int, int] | tuple[str, str]:
    """Return the (H, W) of an image, or a kind of problem with its place."""
    if not there(image.image):
        return "missing image", f"{printable(image.source)}: there is no {printable(image.image)}"
    if image.missing is not None:
        place = f"{printable(image.name)}: there is no {printable(image.missing)}"
        return "missing annotation", place
    if image.broken is not None:
        return "unreadable annotation", image.broken
    try:
        size = read_header(image.image, page=page).size
    except UnreadablePicture as error:
        return "unreadable image", str(error).partition("; mend")[0]
    if image.size not in (None, size):
        return "image of another size", _size_mismatch(image, size)
    return size


def _size_mismatch(image: Annotated, size: tuple[int, int]) -> str:
    assert image.size is not None
    text = (
        f"{printable(image.source)}: says that {printable(image.image.name)} is "
        f"{image.size[1]}x{image.size[0]} pixels, but it is {size[1]}x{size[0]}"
    )
    turned = image.size == size[::-1] and read_header(image.image).turned
    return f"{text}, turned by its EXIF data" if turned else text


def _boxed(
    image: Annotated,
    size: tuple[int, int],
    indices: Mapping[str, int],
    on_error: OnError,
    problems: Problems,
) -> Boxed:
    """Return an image with its valid boxes, and add its problems to `problems`."""
    things: list[Thing] = []
    for thing in image.in_pixels(size):
        unknown = "" if thing.label in indices else "unknown label"
        kind = thing.fault or unknown or fault(thing.box, size)
        reason = thing.reason
        if kind in (None, PARTLY) and thing.outline is not None:
            reason = why_not_drawn(thing.outline, size) or ""
            kind = "outline that cannot be drawn" if reason else kind
        if kind is not None:
            problems[kind].append(": ".join(filter(None, (place_of(image, thing), reason))))
        if kind is None:
            things.append(thing)
        elif kind == PARTLY and on_error == "clip":
            things.append(replace(thing, box=clipped(thing.box, size)))
    boxes = np.array([clipped(thing.box, size) for thing in things], np.float32).reshape(-1, 4)
    twins = duplicates(things, boxes, size)
    first = [index for index in range(len(things)) if index not in twins]
    return Boxed(
        replace(image, things=tuple(things[index] for index in first), relative=False),
        size,
        boxes[first],
        np.array([indices[things[index].label] for index in first], np.int64),
        np.array([not things[index].ignored for index in first], np.bool_),
        tuple(
            f"{place_of(image, things[index])} is {things[twin].place}"
            for index, twin in sorted(twins.items())
        ),
    )


def place_of(image: Annotated, thing: Thing) -> str:
    """Return the place of an object, such as `a.xml: object 3 (cat)`."""
    place = f"{printable(image.source)}: {thing.place}"
    return f"{place} ({printable(thing.label)})" if thing.label else place


def _totals(problems: Mapping[str, Sequence[str]]) -> str:
    """Return the number of problems of each kind, such as `2 missing images`."""
    return ", ".join(
        f"{len(places):,} {kind if len(places) == 1 else KINDS[kind]}"
        for kind, places in problems.items()
    )


def _places(problems: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the places of all kinds in turn, beginning with the first of each kind."""
    rows = zip_longest(*problems.values())
    return [place for row in rows for place in row if place is not None]


def first_places(places: Sequence[str], count: int = _FIRST) -> str:
    """Return the first places, and the number of the rest."""
    more = f" and {len(places) - count:,} more" if len(places) > count else ""
    return "; ".join(places[:count]) + more


def summary(problems: Mapping[str, Sequence[str]], count: int = _FIRST) -> str:
    """Return the number of problems of each kind, and the first places."""
    return f"{_totals(problems)} ({first_places(_places(problems), count)})"


def warn_of_derived(path: Path, places: Sequence[str], box: str, outline: str) -> None:
    """Warn of boxes that are computed from outlines.

    Args:
        path: The file or folder of the annotations.
        places: The places of the objects; no warning if empty.
        box: The name of the entry that is absent.
        outline: The name of the entry that is used instead.
    """
    if places:
        warnings.warn(
            f"{printable(path)}: objects without a {box}, for which the box around their {outline} "
            f"is used: {len(places):,} ({first_places(places, 1)})",
            AssumedWarning,
            stacklevel=3,
        )


def _error(problems: Problems, count: int, split: str) -> DataError:
    error_type = UnreadablePicture if "unreadable image" in problems else DataError
    return error_type(
        f"data: split {split} ({count:,} images): {summary(problems)}; mend them, or leave them "
        "out with data.on_error=skip"
        + (", or clip boxes at the edge with data.on_error=clip" if PARTLY in problems else ""),
        details="\n".join(f"{kind}: {at}" for kind, places in problems.items() for at in places),
    )


def _warning(problems: Problems, split: str, on_error: OnError) -> str:
    clips = PARTLY in problems and on_error == "clip"
    action = "left out, or clipped at the image's edge" if clips else "left out"
    return f"split {split}: {action}: {_totals(problems)}: {first_places(_places(problems))}"
