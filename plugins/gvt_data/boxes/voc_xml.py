"""Read an image's annotation in Pascal VOC's XML format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from gvt.printable import printable

from ..listing import composed
from .annotation import NO_BOX, Thing, malformed
from .pairing import read_bytes

Corners = Literal["inclusive", "exact"]
"""The meaning of the corners of a box; see `read_xml`."""


@dataclass(frozen=True, slots=True)
class Described:
    """The content of an XML file.

    Attributes:
        things: The objects; those marked as difficult are ignored.
        size: The image's (H, W); None if the file has no size.
        derived: The places of objects whose boxes are computed from their polygons.
        broken: Why the file is not valid; None if it is.
    """

    things: tuple[Thing, ...] = ()
    size: tuple[int, int] | None = None
    derived: tuple[str, ...] = ()
    broken: str | None = None


class _Builder(ElementTree.TreeBuilder):
    """Refuse document type declarations, whose entities could expand without limit."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type (DTD) is not supported; remove <!DOCTYPE>")


def read_xml(path: Path, corners: Corners) -> Described:
    """Return the content of an XML file.

    An object with a polygon and no box gets the box around the polygon, whose points are
    coordinates from 0.

    Args:
        path: The file.
        corners: `inclusive` if xmin to xmax are pixels counted from 1 and both belong to the
            object, as in the challenge; `exact` if they are coordinates from 0.

    Raises:
        DataError: If it cannot be read.
    """
    content = read_bytes(path)
    try:
        root: Any = ElementTree.fromstring(content, ElementTree.XMLParser(target=_Builder()))
        size = _size(root)
    except ElementTree.ParseError as error:
        line, _ = error.position
        reason = str(error).partition(": line")[0]
        return Described(broken=f"{printable(path)}: line {line}: is not valid XML: {reason}")
    except (ValueError, LookupError) as error:  # LookupError: an unknown encoding
        return Described(broken=f"{printable(path)}: {printable(error)}")
    if root.tag != "annotation":
        tag = printable(root.tag)
        return Described(
            broken=f"{printable(path)}: begins with <{tag}> instead of Pascal VOC's <annotation>"
        )
    # LabelMe keeps deleted objects in its files, marked as deleted.
    items = [
        (number, item)
        for number, item in enumerate(root.findall("object"), 1)
        if _text(item, "deleted") != "1"
    ]
    things = tuple(_thing(item, f"object {number}", corners) for number, item in items)
    derived = [
        f"{thing.place} ({printable(thing.label)})"
        for (_, item), thing in zip(items, things, strict=True)
        if not thing.fault and item.find("bndbox/*") is None
    ]
    return Described(things, size, tuple(derived))


def _thing(item: Any, place: str, corners: Corners) -> Thing:
    label = composed(_text(item, "name") or "")
    if not label:
        return malformed(place, "has no <name>")
    difficult = _text(item, "difficult") == "1"
    if item.find("bndbox/*") is None:
        box = _box_around(item.find("polygon"))
        if box is None:
            return Thing(label, NO_BOX, None, place, difficult, fault="object without a box")
        return Thing(label, box, None, place, difficult)
    texts = {corner: _text(item, f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")}
    for corner, text in texts.items():
        if text is None:
            return malformed(place, f"its <bndbox> has no <{corner}>", label)
    left, top, right, bottom = (_number(text or "") for text in texts.values())
    first = 1.0 if corners == "inclusive" else 0.0
    return Thing(label, (left - first, top - first, right, bottom), None, place, difficult)


def _box_around(polygon: Any) -> tuple[float, float, float, float] | None:
    """Return the box around a polygon, xyxy; None if it has fewer than two points or a NaN.

    Its points are <x1>, <y1>, <x2> and so on, or <pt> with <x> and <y>.
    """
    if polygon is None:
        return None
    elements = [(element.tag.rstrip("0123456789"), element.text) for element in polygon.iter()]
    x, y = ([_number(text or "") for tag, text in elements if tag == side] for side in "xy")
    if len(x) != len(y) or len(x) < 2 or not all(map(math.isfinite, [*x, *y])):
        return None
    return min(x), min(y), max(x), max(y)


def _text(item: Any, path: str) -> str | None:
    text: str | None = item.findtext(path)
    return None if text is None else text.strip()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _size(root: Any) -> tuple[int, int] | None:
    """Return (H, W); None if it is absent or 0, as some tools write it.

    Raises:
        ValueError: If a side is not a number.
    """
    height, width = (_text(root, f"size/{side}") or "0" for side in ("height", "width"))
    if not all(map(math.isfinite, sides := (_number(height), _number(width)))):
        raise ValueError(f"its <size> is {width} x {height}, which is not a size in pixels")
    return (int(sides[0]), int(sides[1])) if min(sides) > 0 else None
