"""One of COCO's JSON files: pictures, categories and annotations."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gvt import DataError
from gvt.printable import printable

from .annotation import Thing


@dataclass(slots=True)
class Category:
    """A class."""

    id: int
    name: str


@dataclass(slots=True)
class Picture:
    """A picture; a size of 0 is none."""

    id: int
    file_name: str
    width: float = 0
    height: float = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """(H, W), where it is said."""
        known = self.width > 0 and self.height > 0
        return (int(self.height), int(self.width)) if known else None


@dataclass(slots=True)
class _Object:
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    id: int | None = None
    iscrowd: int = 0
    segmentation: Any = None


@dataclass(slots=True)
class _Document:
    images: list[Picture]
    categories: list[Category]
    annotations: list[_Object]


@dataclass(frozen=True)
class CocoFile:
    """What a file says.

    Attributes:
        path: The file.
        images: Its pictures.
        categories: Of each class's number its name.
        things: Of each picture's number its objects, crowds left out.
        crowds: Of each picture's number how many crowds it has.
        lost: Annotations of pictures that the file does not have.
    """

    path: Path
    images: Sequence[Picture]
    categories: Mapping[int, str]
    things: Mapping[int, Sequence[Thing]]
    crowds: Mapping[int, int]
    lost: Sequence[str] = field(default_factory=list)


def read_coco(path: Path) -> CocoFile:
    """Return what a JSON file says.

    Boxes [x, y, width, height] become corners. `iscrowd` is for areas with several objects: these
    are counted and left out. An object of no category has the label `category_id NUMBER`.

    Raises:
        DataError: If it cannot be read, is no such JSON, or a number or name comes twice; names
            the entry.
    """
    document = _validated(path)
    where = printable(path)
    categories = _once(where, "categories", [(c.id, c.name) for c in document.categories])
    images = _once(where, "images", [(i.id, i.file_name) for i in document.images])
    things: dict[int, list[Thing]] = defaultdict(list)
    crowds: Counter[int] = Counter()
    lost = []
    for number, item in enumerate(document.annotations):
        place = f"annotations[{number}]" if item.id is None else f"annotation {item.id}"
        label = categories.get(item.category_id, f"category_id {item.category_id}")
        if item.image_id not in images:
            lost.append(f"{printable(path.name)}: {place} (image_id {item.image_id})")
        elif item.iscrowd:
            crowds[item.image_id] += 1
        else:
            left, top, width, height = item.bbox
            outline = _outline(f"{where}: {place}", item.segmentation)
            if isinstance(outline, list) and not all(math.isfinite(sum(of)) for of in outline):
                left = math.nan  # nothing is known of where it is
            box = (left, top, left + width, top + height)
            things[item.image_id].append(Thing(label, box, outline, place))
    return CocoFile(path, document.images, categories, things, crowds, lost)


def categories_of(path: Path) -> Mapping[int, str]:
    """Return of each class's number its name, from a file that may have been read before.

    Raises:
        DataError: As `read_coco` does.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    return _categories(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _categories(path: Path, modified: int, size: int) -> Mapping[int, str]:
    found = _validated(path).categories
    return _once(printable(path), "categories", [(of.id, of.name) for of in found])


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[_Document]:
    return TypeAdapter(_Document)


def _validated(path: Path) -> _Document:
    try:
        return _adapter().validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"])
        said = str(problem["msg"]).removeprefix("Input ")
        said = f"{at.lstrip('.')}: {said}" if at else said
        raise DataError(f"{printable(path)}: {printable(said)}") from error


def _once(where: str, what: str, pairs: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Return names by numbers, after a check that none of either comes twice."""
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for number, name in pairs:
        if number in names:
            both = f"{printable(names[number])} and {printable(name)}"
            raise DataError(f"{where}: {what}: {both} have the same id {number}")
        if name in numbers:
            raise DataError(
                f"{where}: {what}: {numbers[name]} and {number} are both called {printable(name)}"
            )
        names[number], numbers[name] = name, number
    return names


def _outline(where: str, given: Any) -> Any:
    """Return polygons or run lengths as they are; None where there are none.

    Raises:
        DataError: If it is neither.
    """
    if not given:
        return None
    if isinstance(given, dict):
        if isinstance(given.get("counts"), str | list) and isinstance(given.get("size"), list):
            return given
        raise DataError(f"{where}: its segmentation has no counts or no size")
    if not isinstance(given, list):
        raise DataError(f"{where}: its segmentation is neither polygons nor run lengths")
    for points in given:
        if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
            raise DataError(
                f"{where}: its segmentation has a polygon that is no list of x and y by turns, of "
                "three points at least"
            )
        try:
            sum(points)  # of millions of points this is the fastest look
        except TypeError as error:
            raise DataError(
                f"{where}: its segmentation has a point that is not of numbers"
            ) from error
    return given
