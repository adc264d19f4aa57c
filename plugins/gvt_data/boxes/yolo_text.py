"""YOLO's text files: a line for each object, and the names of the classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt import ConfigError, DataError
from gvt.config.text import parse
from gvt.printable import printable

from .annotation import Thing
from .yolo_splits import Named

_EXPECTED = "a line is a class's number and x, y, width and height of a box, or a polygon's x and y"


@dataclass(frozen=True)
class Described:
    """What a data set's own file says of it.

    Attributes:
        names: Of the classes, in the order of their numbers; None where no file says.
        splits: Where the pictures of the splits are, of those that are named.
    """

    names: tuple[str, ...] | None
    splits: Mapping[str, Named]


def read_labels(path: Path, names: Sequence[str]) -> tuple[Thing, ...]:
    """Return the objects in a text file, their boxes and polygons in shares of the picture.

    Args:
        path: The file, one object a line: the number of its class, and centre, width and height of
            its box, or x and y of three points of its outline or more.
        names: Of the classes; a number that has none becomes the label `class_id NUMBER`.

    Raises:
        DataError: If it cannot be read, or a line is neither; names the line.
    """
    lines = [(number, line.split()) for number, line in enumerate(_text(path).splitlines(), 1)]
    return tuple(_thing(path, number, cells, names) for number, cells in lines if cells)


def _thing(path: Path, line: int, cells: Sequence[str], names: Sequence[str]) -> Thing:
    where = f"{printable(path)}: line {line}"
    of_class = _number(cells[0])
    if of_class < 0 or not of_class.is_integer():
        raise DataError(f"{where}: {printable(cells[0])} is no class's number; {_EXPECTED}")
    number = int(of_class)
    label = names[number] if number < len(names) else f"class_id {number}"
    values = [_number(cell) for cell in cells[1:]]
    if len(values) == 4:
        x, y, width, height = values
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return Thing(label, box, None, f"line {line}")
    if len(values) < 6 or len(values) % 2:
        raise DataError(f"{where}: has {len(values)} numbers behind its class; {_EXPECTED}")
    finite = all(map(math.isfinite, values))
    sides = (values[::2], values[1::2]) if finite else ([math.nan], [math.nan])
    box = (min(sides[0]), min(sides[1]), max(sides[0]), max(sides[1]))
    return Thing(label, box, [values], f"line {line}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def described(root: Path) -> Described:
    """Return what data.yaml, or another YAML file with `names`, or classes.txt says.

    Splits are those of data.yaml or of the file with `names`.

    Raises:
        DataError: If such a file is broken.
    """
    splits: dict[str, Named] = {}
    for path in sorted(root.glob("*.y*ml"), key=lambda path: (path.stem != "data", path.name)):
        content = _yaml(path)
        if isinstance(content, Mapping) and ("names" in content or path.stem == "data"):
            splits = splits or _splits(path, content)
            if "names" in content:
                return Described(_names(path, content["names"]), splits)
    for name in ("classes.txt", "labels/classes.txt", "obj.names"):
        if (root / name).is_file():
            lines = [line.strip() for line in _text(root / name).splitlines()]
            return Described(_unlike(root / name, [n for n in lines if n]), splits)
    return Described(None, splits)


def _names(path: Path, given: Any) -> tuple[str, ...]:
    """Return `names`, which is a list, or has the numbers from 0 on as keys."""
    if isinstance(given, Mapping):
        if sorted(map(str, given)) != sorted(map(str, range(len(given)))):
            raise DataError(f"{printable(path)}: names: their numbers are not those from 0 on")
        given = [given[key] for key in sorted(given, key=int)]
    if not isinstance(given, list) or not given:
        raise DataError(f"{printable(path)}: names: is no list of the classes' names")
    return _unlike(path, [str(name) for name in given])


def _unlike(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    for at, name in enumerate(names):
        if name in names[:at]:
            raise DataError(f"{printable(path)}: two classes are called {printable(name)}")
    return tuple(names)


def _splits(path: Path, content: Mapping[str, Any]) -> dict[str, Named]:
    """Return what is said of each split that is named."""
    below = content.get("path")
    found: dict[str, Named] = {}
    for split, key in (("train", "train"), ("val", "val"), ("val", "valid"), ("test", "test")):
        given = content.get(key)
        if given in (None, "", []) or split in found:
            continue
        places = given if isinstance(given, list) else [given]
        if not all(isinstance(place, str) and place for place in places):
            raise DataError(
                f"{printable(path)}: {key}: is no folder of pictures, no text file that lists "
                "them, and no list of these"
            )
        where = f"{printable(path)}: {key}"
        found[split] = Named(where, tuple(places), below if isinstance(below, str) else "")
    return found


def _yaml(path: Path) -> Any:
    try:
        return parse(_text(path), printable(path))
    except ConfigError as error:
        raise DataError(str(error)) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is no text in UTF-8") from error
