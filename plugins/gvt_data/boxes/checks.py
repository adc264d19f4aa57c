"""What can be wrong with boxes, found once when the data is opened."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture

from ..broken import threads
from ..header import read_header
from .annotation import Annotated, Thing
from .duplicates import duplicates
from .outlines import why_not_drawn
from .pairing import there

OnError = Literal["error", "clip", "skip"]
"""What happens to what is bad: see `checked`."""

ROUNDING = 1.0
"""Pixels by which a box may stand over its image unnoticed; it is cut at the edge."""

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
"""All that may be wrong, one and several of it."""

_FIRST = 10
"""Places that a warning or an error names."""

FEW = 3
"""Places that are examples, where the others are alike."""

Problems = dict[str, list[str]]
"""Of each kind the places, each with the file that says so."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Boxed:
    """A picture whose objects are as they should be.

    Attributes:
        of: What its files say; only the objects that are kept, in pixels, with boxes that stand
            over the edge by `ROUNDING` at most.
        size: Its (H, W).
        boxes: (M, 4) float32, xyxy in pixels, inside the image.
        labels: (M,) int64.
        counted: (M,) bool, which are not ignored.
        repeated: Where objects are written that are left out since they repeat another one, each
            with where that one is.
    """

    of: Annotated
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    counted: NDArray[np.bool_]
    repeated: tuple[str, ...] = ()

    @property
    def outlined(self) -> bool:
        """Whether all objects that are not ignored have outlines."""
        return all(thing.outline or thing.ignored for thing in self.of.things)


def fault(box: Box, size: tuple[int, int]) -> str | None:
    """Return what is wrong with a box, xyxy in pixels, of an image (H, W); None if all is well.

    What stands over by `ROUNDING` at most is well.
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
    over = max(-left, -top, right - width, bottom - height)
    return PARTLY if over > ROUNDING else None


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box that is in an image (H, W)."""
    height, width = size
    left, top, right, bottom = box
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )


def _has_area(box: Box) -> bool:
    """Whether it still has an area as float32, as which networks see it."""
    left, top, right, bottom = map(np.float32, box)
    return bool(right > left and bottom > top)


def checked(
    found: Sequence[Annotated],
    classes: Sequence[str],
    on_error: OnError,
    split: str,
    before: Mapping[str, Sequence[str]],
    page: int | None = None,
) -> tuple[list[Boxed], Problems]:
    """Return the pictures that can be used with the boxes that are well, and what is wrong.

    Args:
        found: The pictures of a split; the size of each is read, and nothing is decoded.
        classes: The names that labels may have.
        on_error: `error` stops if anything is wrong; `clip` cuts boxes that are partly outside at
            the image's edge, and leaves out what else is bad; `skip` leaves out all that is bad.
            Both warn. What is left out is a box, or with its picture all of its boxes.
        split: What they are of, for messages.
        before: Problems that were found before, of the same split.
        page: Which picture of a file is read, from 1; the first unless given.

    Raises:
        DataError: If something is wrong and `on_error` is `error`.
    """
    with threads() as pool:
        sizes = list(pool.map(partial(_size_or_problem, page=page), found))
    numbers = {name: number for number, name in enumerate(classes)}
    problems: Problems = {kind: [*before.get(kind, ())] for kind in KINDS}
    kept = []
    for of, size in zip(found, sizes, strict=True):
        if isinstance(size[0], str):
            problems[size[0]].append(str(size[1]))
        else:
            kept.append(_boxed(of, (size[0], int(size[1])), numbers, on_error, problems))
    problems = {kind: places for kind, places in problems.items() if places}
    if problems and on_error == "error":
        raise _error(problems, len(found), split)
    if problems:
        warnings.warn(_warning(problems, split, on_error), stacklevel=4)
    return kept, problems


def _size_or_problem(of: Annotated, page: int | None) -> tuple[int, int] | tuple[str, str]:
    """Return a picture's (H, W), or a kind of problem with its place."""
    if not there(of.image):
        return "missing image", f"{printable(of.said)}: there is no {printable(of.image)}"
    if of.unsaid is not None:
        return "missing annotation", f"{printable(of.name)}: there is no {printable(of.unsaid)}"
    if of.broken is not None:
        return "unreadable annotation", of.broken
    try:
        size = read_header(of.image, page=page).size
    except UnreadablePicture as error:
        return "unreadable image", str(error).partition("; mend")[0]
    if of.size not in (None, size):
        return "image of another size", _of_other_size(of, size)
    return size


def _of_other_size(of: Annotated, size: tuple[int, int]) -> str:
    assert of.size is not None
    text = (
        f"{printable(of.said)}: says that {printable(of.image.name)} is {of.size[1]}x{of.size[0]} "
        f"pixels, and it is {size[1]}x{size[0]}"
    )
    turned = of.size == size[::-1] and read_header(of.image).turned
    return f"{text}, turned by its EXIF data" if turned else text


def _boxed(
    of: Annotated,
    size: tuple[int, int],
    numbers: Mapping[str, int],
    on_error: OnError,
    problems: Problems,
) -> Boxed:
    """Return a picture with the boxes that are well, and note the others."""
    kept: list[Thing] = []
    for thing in of.in_pixels(size):
        wrong = thing.fault or _unknown(thing, numbers) or fault(thing.box, size)
        reason = thing.reason
        if wrong in (None, PARTLY) and thing.outline is not None:
            reason = why_not_drawn(thing.outline, size) or ""
            wrong = "outline that cannot be drawn" if reason else wrong
        if wrong is not None:
            problems[wrong].append(": ".join(filter(None, (place_of(of, thing), reason))))
        if wrong is None:
            kept.append(thing)
        elif wrong == PARTLY and on_error == "clip":
            kept.append(replace(thing, box=clipped(thing.box, size)))
    boxes = np.array([clipped(thing.box, size) for thing in kept], np.float32).reshape(-1, 4)
    twins = duplicates(kept, boxes, size)
    once = [index for index in range(len(kept)) if index not in twins]
    return Boxed(
        replace(of, things=tuple(kept[index] for index in once), relative=False),
        size,
        boxes[once],
        np.array([numbers[kept[index].label] for index in once], np.int64),
        np.array([not kept[index].ignored for index in once], np.bool_),
        tuple(f"{place_of(of, kept[n])} is {kept[o].place}" for n, o in sorted(twins.items())),
    )


def _unknown(thing: Thing, numbers: Mapping[str, int]) -> str | None:
    return None if thing.label in numbers else "unknown label"


def place_of(of: Annotated, thing: Thing) -> str:
    """Return where an object is written, as in `a.xml: object 3 (cat)`."""
    place = f"{printable(of.said)}: {thing.place}"
    return f"{place} ({printable(thing.label)})" if thing.label else place


def counted(problems: Mapping[str, Sequence[str]]) -> str:
    """Return how many there are of each kind, in words."""
    return ", ".join(
        f"{len(places):,} {kind if len(places) == 1 else KINDS[kind]}"
        for kind, places in problems.items()
    )


def _places(problems: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the places of all kinds, the first of each kind first."""
    longest = max(map(len, problems.values()))
    return [of[at] for at in range(longest) for of in problems.values() if at < len(of)]


def listed(places: Sequence[str], first: int = _FIRST) -> str:
    """Return the first places, and how many there are more."""
    more = f" and {len(places) - first:,} more" if len(places) > first else ""
    return "; ".join(places[:first]) + more


def summary(problems: Mapping[str, Sequence[str]], first: int = _FIRST) -> str:
    """Return how many there are of each kind, and the first places."""
    return f"{counted(problems)} ({listed(_places(problems), first)})"


def _error(problems: Problems, count: int, split: str) -> DataError:
    error_type = UnreadablePicture if "unreadable image" in problems else DataError
    return error_type(
        f"data: of {count:,} pictures of split {split}: {summary(problems)}; mend them, or "
        "leave them out with data.on_error=skip"
        + (", or cut boxes at the edge with data.on_error=clip" if PARTLY in problems else ""),
        details="\n".join(f"{kind}: {at}" for kind, places in problems.items() for at in places),
    )


def _warning(problems: Problems, split: str, on_error: OnError) -> str:
    partly = PARTLY in problems and on_error == "clip"
    done = "left out, or cut at the image's edge" if partly else "left out"
    return f"split {split}: {done}: {counted(problems)}: {listed(_places(problems))}"
