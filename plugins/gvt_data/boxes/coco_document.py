"""Read the entries of COCO's JSON files, and detect malformed ones."""

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
from .pairing import read_bytes
from .paths import parts_of

_T = TypeVar("_T")


@dataclass(slots=True)
class Category:
    """A category, which is a class."""

    id: int
    name: str


@dataclass(slots=True)
class Picture:
    """An image; its size is unknown if the width or height is 0."""

    id: int
    file_name: str
    width: FiniteFloat | None = 0
    height: FiniteFloat | None = 0

    @property
    def size(self) -> tuple[int, int] | None:
        """(H, W); None if unknown."""
        return (int(self.height), int(self.width)) if self.width and self.height else None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its path, with composed letters, for comparisons."""
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
    """A document with None in place of each malformed entry."""

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
    return {kind: TypeAdapter(kind) for kind in (_Categories, Document, Partial, _Raw)}


def _validated(path: Path, kind: type[_T]) -> _T:
    """Return a file's content as an instance of a class.

    Raises:
        DataError: If it cannot be read.
        ValidationError: If it does not match the class.
    """
    content = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    document: _T = _adapters()[kind].validate_json(content)
    return document


Faults = dict[tuple[str, int], tuple[str, int | None]]
"""The error of each malformed entry, and its image_id if it has one, by key and index."""


def read_document(path: Path) -> tuple[Document | Partial, Faults]:
    """Return a file's content, and the errors of malformed entries.

    Raises:
        DataError: If the file cannot be read, or more than single entries is malformed.
    """
    try:
        return _validated(path, Document), {}
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    whole = next((detail for detail in details if len(detail["loc"]) < 2), None)
    if whole is not None:
        raise DataError(f"{printable(path)}: {_document_error(whole)}")
    raw = _validated(path, _Raw)
    faults: Faults = {}
    for detail in details:
        key, index, *rest = detail["loc"]
        entry = getattr(raw, str(key))[int(index)]
        if (key, index) not in faults:
            image_id = entry.get("image_id") if isinstance(entry, Mapping) else None
            image_id = image_id if isinstance(image_id, int) else None
            field = f".{_dotted(rest)}" if rest else ""
            faults[str(key), int(index)] = (f"{field}: {_reason(detail)}", image_id)
    for key, index in faults:
        getattr(raw, key)[index] = None
    content = {key: getattr(raw, key) for key in ("images", "categories", "annotations")}
    partial: Partial = _adapters()[Partial].validate_python(content)
    return partial, faults


def read_categories(path: Path) -> Sequence[Category]:
    """Return the categories of a file, without malformed ones.

    Raises:
        DataError: As `read_document` does.
    """
    try:
        return _validated(path, _Categories).categories
    except ValidationError:
        return [item for item in read_document(path)[0].categories if item is not None]


def _document_error(detail: Mapping[str, Any]) -> str:
    key = _dotted(detail["loc"])
    if key == "annotations" and detail["type"] == "missing":
        return (
            "has no annotations, like the files of test images without ground truth; it can be "
            "used neither for training nor for evaluation"
        )
    return f"{key}: {_reason(detail)}" if key else _reason(detail)


def _dotted(loc: Sequence[int | str]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in loc).removeprefix(".")


def _reason(detail: Mapping[str, Any]) -> str:
    return printable(detail["msg"].removeprefix("Input "))
