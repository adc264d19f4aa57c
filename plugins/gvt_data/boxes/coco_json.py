"""One of COCO's JSON files: pictures, categories and annotations."""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from gvt import DataError
from gvt.printable import printable

from ..listing import composed
from .annotation import NO_BOX, Thing, malformed
from .outlines import box_around
from .paths import parts_of

_T = TypeVar("_T")

Problems = dict[str, list[str]]


@dataclass(slots=True)
class Category:
    """A class."""

    id: int
    name: str


@dataclass(slots=True)
class Picture:
    """A picture; a width or height of 0 is unknown."""

    id: int
    file_name: str
    width: FiniteFloat | None = 0
    height: FiniteFloat | None = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """(H, W), where the file has both."""
        return (int(self.height), int(self.width)) if self.width and self.height else None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path, as paths are compared."""
        return tuple(map(composed, parts_of(self.file_name)))


@dataclass(slots=True)
class Annotation:
    """An object; its box is [x, y, width, height]."""

    image_id: int
    category_id: int
    bbox: list[float] | None = None
    id: int | str | None = None
    iscrowd: int | None = 0
    segmentation: Any = None


@dataclass(slots=True)
class _Categories:
    categories: list[Category]


@dataclass(slots=True)
class _Document:
    images: list[Picture]
    categories: list[Category]
    annotations: list[Annotation]


@dataclass(slots=True)
class _Partial:
    """A document in which None takes the place of each malformed entry."""

    images: list[Picture | None]
    categories: list[Category | None]
    annotations: list[Annotation | None]


@dataclass(slots=True)
class _Raw:
    images: list[Any]
    categories: list[Any]
    annotations: list[Any]


@dataclass(frozen=True)
class CocoFile:
    """The contents of a file.

    Attributes:
        path: The file.
        images: Its pictures, each once; those whose entry is malformed or ambiguous are left out.
        categories: The name of each class by its number.
        annotations: Its objects, each with its index in the file.
        malformed: The reason why an annotation cannot be read, by image_id and index.
        problems: What is wrong with entries that belong to no picture that can be used: places by
            kind.
    """

    path: Path
    images: Sequence[Picture]
    categories: Mapping[int, str]
    annotations: Sequence[tuple[int, Annotation]]
    malformed: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def used(self) -> frozenset[int]:
        """The numbers of the classes that have objects."""
        return frozenset(item.category_id for _, item in self.annotations)


def read_coco(path: Path) -> CocoFile:
    """Return the contents of a JSON file.

    A malformed entry does not keep the others from being read. A picture that is listed twice with
    one id is taken once; those of one id and different files, or of one file and different ids,
    are left out with their annotations.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, is not such JSON, or one number has two categories.
    """
    stamp = _stamp(path)
    document, faults = _read(path)
    problems: Problems = defaultdict(list)
    categories = _keep(stamp, [of for of in document.categories if of is not None])
    images, known = _images(path.name, document.images, problems)
    bad: dict[int, dict[int, str]] = defaultdict(dict)
    for (key, index), (reason, image_id) in faults.items():
        if key == "annotations" and image_id in images:
            bad[image_id][index] = reason
        else:
            kind = "malformed annotation" if key == "annotations" else f"malformed {_ONE[key]}"
            problems[kind].append(f"{printable(path.name)}: {key}[{index}]{reason}")
    annotations = []
    for index, item in enumerate(document.annotations):
        if item is not None and item.image_id in images:
            annotations.append((index, item))
        elif item is not None and item.image_id not in known:
            place = f"{printable(path.name)}: {place_of(index, item)} (image_id {item.image_id})"
            problems["annotation of an unknown image"].append(place)
    return CocoFile(path, [*images.values()], categories, annotations, bad, problems)


def things_of(
    content: CocoFile, labels: Mapping[int, str], masks: bool = True
) -> tuple[Mapping[int, Sequence[Thing]], Sequence[str]]:
    """Return the objects of each picture by its number, and which of them have no box.

    Boxes [x, y, width, height] become corners. An object without a box gets the one around its
    outline. `iscrowd` is for areas with several objects, which are ignored. An object of no
    category has the label `category_id NUMBER`.

    Args:
        content: The file's contents.
        labels: The label of each category.
        masks: Whether outlines are wanted; they are kept as they are.

    Returns:
        The objects, and the places of those whose boxes are from their outlines.
    """
    things: dict[int, list[Thing]] = defaultdict(list)
    derived = []
    for index, item in content.annotations:
        label = labels.get(item.category_id, f"category_id {item.category_id}")
        thing = _thing(index, item, label, masks)
        if not item.bbox and not thing.fault:
            derived.append(f"{printable(content.path.name)}: {thing.place} ({printable(label)})")
        things[item.image_id].append(thing)
    for image_id, reasons in content.malformed.items():
        things[image_id] += [malformed(f"annotations[{i}]{why}", "") for i, why in reasons.items()]
    return things, derived


def _thing(index: int, item: Annotation, label: str, masks: bool) -> Thing:
    place, crowd = place_of(index, item), bool(item.iscrowd)
    outline = item.segmentation or None
    if item.bbox and len(item.bbox) != 4:
        reason = f"bbox has {len(item.bbox)} numbers, not 4"
        return malformed(place, reason, label)
    if item.bbox:
        left, top, width, height = item.bbox
        box: tuple[float, ...] | None = (left, top, left + width, top + height)
    else:
        box = box_around(outline)
    if box is None:
        return Thing(label, NO_BOX, None, place, crowd, fault="object without a box")
    return Thing(label, box, outline if masks else None, place, crowd)


def place_of(index: int, item: Annotation) -> str:
    """Return how an annotation is called in messages."""
    return f"annotations[{index}]" if item.id is None else f"annotation {item.id}"


def categories_of(path: Path) -> Mapping[int, str]:
    """Return the name of each class by its number; a file is not read again while it is the same.

    Raises:
        DataError: As `read_coco` does.
    """
    stamp = _stamp(path)
    if stamp not in _CATEGORIES:
        try:
            categories: Sequence[Category] = _validated(path, _Categories).categories
        except ValidationError:
            categories = [of for of in _read(path)[0].categories if of is not None]
        _keep(stamp, categories)
    return _CATEGORIES[stamp]


_ONE = {"images": "image entry", "categories": "category"}

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


def _keep(stamp: _Stamp, categories: Sequence[Category]) -> Mapping[int, str]:
    names: dict[int, str] = {}
    for category in categories:
        name = composed(category.name)
        if names.setdefault(category.id, name) != name:
            raise DataError(
                f"{printable(stamp[0])}: categories: {printable(names[category.id])} and "
                f"{printable(name)} have the same id {category.id}; give one of them another"
            )
    _CATEGORIES[stamp] = names
    return names


@lru_cache(maxsize=1)
def _adapters() -> dict[type[Any], TypeAdapter[Any]]:
    return {of: TypeAdapter(of) for of in (_Categories, _Document, _Partial, _Raw)}


def _validated(path: Path, of: type[_T]) -> _T:
    """Return a file's content.

    Raises:
        DataError: If it cannot be read.
        ValidationError: If it is not of this form.
    """
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    found: _T = _adapters()[of].validate_json(content)
    return found


_Faults = dict[tuple[str, int], tuple[str, int | None]]
"""By key and index of a malformed entry the reason, and the image_id if it has one."""


def _read(path: Path) -> tuple[_Document | _Partial, _Faults]:
    """Return a file's content, and what is wrong with entries of it.

    Raises:
        DataError: If more than single entries is wrong.
    """
    try:
        return _validated(path, _Document), {}
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    whole = next((detail for detail in details if len(detail["loc"]) < 2), None)
    if whole is not None:
        raise DataError(f"{printable(path)}: {_of_the_whole(whole)}")
    raw = _validated(path, _Raw)
    faults: _Faults = {}
    for detail in details:
        key, index, *rest = detail["loc"]
        entries = getattr(raw, str(key))
        entry = entries[int(index)]
        if (key, index) not in faults:
            image_id = entry.get("image_id") if isinstance(entry, Mapping) else None
            known = image_id if isinstance(image_id, int) else None
            at = f".{_dotted(rest)}" if rest else ""
            faults[str(key), int(index)] = (f"{at}: {_said(detail['msg'])}", known)
    for key, index in faults:
        getattr(raw, key)[index] = None
    content = {key: getattr(raw, key) for key in ("images", "categories", "annotations")}
    partial: _Partial = _adapters()[_Partial].validate_python(content)
    return partial, faults


def _of_the_whole(detail: Mapping[str, Any]) -> str:
    key = _dotted(detail["loc"])
    if key == "annotations" and detail["type"] == "missing":
        return (
            "has no annotations, as files of test images without truth; nothing can be learned "
            "from it or scored on it"
        )
    return f"{key}: {_said(detail['msg'])}" if key else _said(detail["msg"])


def _dotted(loc: Sequence[int | str]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).removeprefix(".")


def _said(message: str) -> str:
    return printable(message.removeprefix("Input "))


def _images(
    source: str, entries: Sequence[Picture | None], problems: Problems
) -> tuple[dict[int, Picture], set[int]]:
    """Return the pictures that can be used by number, and all numbers; note the others."""
    by_id: dict[int, Picture] = {}
    by_path: dict[tuple[str, ...], int] = {}
    known, ambiguous = set[int](), set[int]()
    for index, picture in enumerate(entries):
        if picture is None:
            continue
        place = f"{printable(source)}: images[{index}]"
        known.add(picture.id)
        if not picture.parts:
            name = printable(repr(picture.file_name))
            problems["malformed image entry"].append(
                f"{place}.file_name: {name} is not a file name"
            )
            continue
        twin = by_id.setdefault(picture.id, picture)
        owner = by_path.setdefault(picture.parts, picture.id)
        name = printable(picture.file_name)
        if owner != picture.id:
            problems["image listed twice"].append(
                f"{place}: {name} has the ids {owner} and {picture.id}"
            )
            ambiguous |= {owner, picture.id}
        elif twin is not picture and twin.parts == picture.parts:
            problems["image listed twice"].append(f"{place}: {name} (id {picture.id}) again")
        if twin.parts != picture.parts:
            problems["repeated image id"].append(
                f"{place}: {printable(twin.file_name)} and {name} have the same id {picture.id}"
            )
            ambiguous.add(picture.id)
    return {of: picture for of, picture in by_id.items() if of not in ambiguous}, known
