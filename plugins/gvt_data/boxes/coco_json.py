"""One of COCO's JSON files: pictures, categories and annotations."""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from gvt import DataError
from gvt.printable import printable

from .annotation import Thing

_T = TypeVar("_T")


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
    width: FiniteFloat = 0
    height: FiniteFloat = 0

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
class _Categories:
    categories: list[Category]


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
        things: Of each picture's number its objects; crowds are ignored.
        lost: Annotations of pictures that the file does not have.
    """

    path: Path
    images: Sequence[Picture]
    categories: Mapping[int, str]
    things: Mapping[int, Sequence[Thing]]
    lost: Sequence[str] = field(default_factory=list)


def read_coco(path: Path, masks: bool = True) -> CocoFile:
    """Return what a JSON file says.

    Boxes [x, y, width, height] become corners. `iscrowd` is for areas with several objects, which
    are ignored. An object of no category has the label `category_id NUMBER`.

    Args:
        path: The file.
        masks: Whether outlines are wanted; they are kept as they are.

    Raises:
        DataError: If it cannot be read, is no such JSON, or a number or name comes twice; names
            the entry.
    """
    stamp = _stamp(path)
    document = _validated(path, _Document)
    where = printable(path)
    categories = _keep(stamp, document.categories)
    images = _once(where, "images", [(i.id, i.file_name) for i in document.images])
    for number, picture in enumerate(document.images):
        if not PurePosixPath(picture.file_name).name:
            raise DataError(
                f"{where}: images[{number}].file_name: {picture.file_name!r} is no file's name"
            )
    things: dict[int, list[Thing]] = defaultdict(list)
    lost = []
    for number, item in enumerate(document.annotations):
        place = f"annotations[{number}]" if item.id is None else f"annotation {item.id}"
        label = categories.get(item.category_id, f"category_id {item.category_id}")
        if item.image_id not in images:
            lost.append(f"{printable(path.name)}: {place} (image_id {item.image_id})")
            continue
        left, top, width, height = item.bbox
        box = (left, top, left + width, top + height)
        outline = item.segmentation or None if masks else None
        things[item.image_id].append(Thing(label, box, outline, place, bool(item.iscrowd)))
    return CocoFile(path, document.images, categories, things, lost)


def categories_of(path: Path) -> Mapping[int, str]:
    """Return of each class's number its name; a file that was read before is not read again.

    Raises:
        DataError: As `read_coco` does.
    """
    stamp = _stamp(path)
    if stamp in _CATEGORIES:
        return _CATEGORIES[stamp]
    return _keep(stamp, _validated(path, _Categories).categories)


_Stamp = tuple[Path, int, int]

_CATEGORIES: dict[_Stamp, Mapping[int, str]] = {}
"""Of files that were read; each split's file is asked for by all the others."""


def _stamp(path: Path) -> _Stamp:
    """Return what changes when a file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    return path, status.st_mtime_ns, status.st_size


def _keep(stamp: _Stamp, given: Sequence[Category]) -> Mapping[int, str]:
    found = _once(printable(stamp[0]), "categories", [(of.id, of.name) for of in given])
    _CATEGORIES[stamp] = found
    return found


@lru_cache(maxsize=1)
def _adapters() -> dict[type[Any], TypeAdapter[Any]]:
    return {of: TypeAdapter(of) for of in (_Categories, _Document)}


def _validated(path: Path, of: type[_T]) -> _T:
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        found: _T = _adapters()[of].validate_json(content)
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in problem["loc"])
        said = str(problem["msg"]).removeprefix("Input ")
        said = f"{at.lstrip('.')}: {said}" if at else said
        raise DataError(f"{printable(path)}: {printable(said)}") from error
    return found


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
