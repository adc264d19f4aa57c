"""The entries of COCO's JSON files, and which of them are malformed."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from gvt import DataError
from gvt.printable import printable

from ..listing import composed
from .paths import parts_of

_T = TypeVar("_T")


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
class Document:
    """A whole file."""

    images: list[Picture]
    categories: list[Category]
    annotations: list[Annotation]


@dataclass(slots=True)
class Partial:
    """A document in which None takes the place of each malformed entry."""

    images: list[Picture | None]
    categories: list[Category | None]
    annotations: list[Annotation | None]


@dataclass(slots=True)
class _Raw:
    images: list[Any]
    categories: list[Any]
    annotations: list[Any]


@lru_cache(maxsize=1)
def _adapters() -> dict[type[Any], TypeAdapter[Any]]:
    return {of: TypeAdapter(of) for of in (_Categories, Document, Partial, _Raw)}


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


Faults = dict[tuple[str, int], tuple[str, int | None]]
"""By key and index of a malformed entry the reason, and the image_id if it has one."""


def read_document(path: Path) -> tuple[Document | Partial, Faults]:
    """Return a file's content, and what is wrong with entries of it.

    Raises:
        DataError: If more than single entries is wrong.
    """
    try:
        return _validated(path, Document), {}
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    whole = next((detail for detail in details if len(detail["loc"]) < 2), None)
    if whole is not None:
        raise DataError(f"{printable(path)}: {_of_the_whole(whole)}")
    raw = _validated(path, _Raw)
    faults: Faults = {}
    for detail in details:
        key, index, *rest = detail["loc"]
        entry = getattr(raw, str(key))[int(index)]
        if (key, index) not in faults:
            image_id = entry.get("image_id") if isinstance(entry, Mapping) else None
            known = image_id if isinstance(image_id, int) else None
            at = f".{_dotted(rest)}" if rest else ""
            faults[str(key), int(index)] = (f"{at}: {_said(detail['msg'])}", known)
    for key, index in faults:
        getattr(raw, key)[index] = None
    content = {key: getattr(raw, key) for key in ("images", "categories", "annotations")}
    partial: Partial = _adapters()[Partial].validate_python(content)
    return partial, faults


def read_categories(path: Path) -> Sequence[Category]:
    """Return the categories of a file that are not malformed.

    Raises:
        DataError: As `read_document` does.
    """
    try:
        return _validated(path, _Categories).categories
    except ValidationError:
        return [of for of in read_document(path)[0].categories if of is not None]


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
