"""One picture's annotation in Pascal VOC's XML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from gvt import DataError
from gvt.printable import printable

from .annotation import Thing

Corners = Literal["inclusive", "exact"]
"""How the corners of a box are meant; see `read_xml`."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says of its picture.

    Attributes:
        things: Its objects; those that are marked as difficult are ignored.
        size: (H, W); None where it is not said.
    """

    things: tuple[Thing, ...]
    size: tuple[int, int] | None


class _Builder(ElementTree.TreeBuilder):
    """Builds a tree of a document without a type declaration: entities could blow it up."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type (DTD), which is not read; remove <!DOCTYPE>")


def read_xml(path: Path, corners: Corners) -> Described:
    """Return what an XML file says of its picture.

    Args:
        path: The file.
        corners: `inclusive` where xmin to xmax count pixels from 1 and the last one belongs to the
            object, as in the challenge; `exact` where they are coordinates from 0.

    Raises:
        DataError: If it cannot be read, is no such XML, or an object lacks a name or a corner.
    """
    try:
        content = path.read_bytes()
        root: Any = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Builder()))
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except ElementTree.ParseError as error:
        line, _ = error.position
        reason = str(error).partition(": line")[0]
        raise DataError(f"{printable(path)}: line {line}: is no valid XML: {reason}") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise DataError(f"{printable(path)}: {printable(error)}") from error
    if root.tag != "annotation":
        raise DataError(
            f"{printable(path)}: begins with <{printable(root.tag)}>, and Pascal VOC's files with "
            "<annotation>"
        )
    objects = root.findall("object")
    return Described(
        tuple(_thing(path, item, n, corners) for n, item in enumerate(objects, 1)),
        _size(path, root),
    )


def _thing(path: Path, item: Any, number: int, corners: Corners) -> Thing:
    where = f"{printable(path)}: object {number}"
    label = _text(item, "name")
    if not label:
        raise DataError(f"{where}: has no <name>")
    found = []
    for corner in ("xmin", "ymin", "xmax", "ymax"):
        text = _text(item, f"bndbox/{corner}")
        if text is None:
            raise DataError(f"{where} ({printable(label)}): has no <bndbox> with <{corner}>")
        found.append(_number(text))
    left, top, right, bottom = found
    first = 1.0 if corners == "inclusive" else 0.0
    box = (left - first, top - first, right, bottom)
    return Thing(label, box, None, f"object {number}", _text(item, "difficult") == "1")


def _text(item: Any, path: str) -> str | None:
    text: str | None = item.findtext(path)
    return None if text is None else text.strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _size(path: Path, root: Any) -> tuple[int, int] | None:
    """Return (H, W); some programs leave it out, or write 0."""
    height, width = (_text(root, f"size/{side}") or "0" for side in ("height", "width"))
    if not all(map(math.isfinite, sides := (_number(height), _number(width)))):
        raise DataError(
            f"{printable(path)}: its <size> is {printable(width)} x {printable(height)}, which are "
            "no numbers"
        )
    return (int(sides[0]), int(sides[1])) if min(sides) > 0 else None
