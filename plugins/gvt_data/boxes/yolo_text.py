"""What YOLO's data.yaml says: names of classes, splits, and keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gvt import ConfigError, DataError
from gvt.config import parse_yaml
from gvt.printable import printable

from ..listing import composed
from ..splits import SPLITS, split_of
from .yolo_lines import Keypoints, Line, parsed
from .yolo_splits import Named

_SHOWN = 5
"""Names of classes that an error shows."""


@dataclass(frozen=True)
class Described:
    """What a data set's own file says of it.

    Attributes:
        names: Of the classes, in the order of their numbers; None where no file says.
        splits: Where the pictures of the splits are, of those that are named.
        count: How many classes there are, `nc`, with the file that says so; None where none does.
        keypoints: What follows the box on each line, `kpt_shape`; None where no file says.
    """

    names: tuple[str, ...] | None = None
    splits: Mapping[str, Named] = field(default_factory=dict)
    count: tuple[Path, int] | None = None
    keypoints: Keypoints | None = None

    def check_count(self) -> None:
        """Check that there are as many names as there should be classes.

        Raises:
            DataError: If there are not.
        """
        if self.count is not None and self.names is not None:
            path, count = self.count
            if count != len(self.names):
                few = [printable(name) for name in self.names[:_SHOWN]]
                more = ["..."] if len(self.names) > _SHOWN else []
                raise DataError(
                    f"{printable(path)}: nc is {count}, and there are {len(self.names)} names: "
                    f"{', '.join(few + more)}; mend the one that is wrong, or give data.classes"
                )


def read_lines(path: Path, names: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a text file with labels.

    Raises:
        DataError: If it cannot be read.
    """
    return parsed(path, _text(path), names)


def described(root: Path) -> Described:
    """Return what data.yaml, or another YAML file with `names`, or classes.txt says.

    What data.yaml does not say is taken from the file with `names`.

    Raises:
        DataError: If such a file is broken.
    """
    known = Described()
    for path in sorted(root.glob("*.y*ml"), key=lambda path: (path.stem != "data", path.name)):
        content = _yaml(path)
        if isinstance(content, Mapping) and ("names" in content or path.stem == "data"):
            known = replace(
                known,
                splits=known.splits or _splits(path, content),
                count=known.count or _count(path, content.get("nc")),
                keypoints=known.keypoints or _keypoints(path, content.get("kpt_shape")),
            )
            if "names" in content:
                return replace(known, names=_names(path, content["names"]))
    for name in ("classes.txt", "labels/classes.txt", "obj.names"):
        if (root / name).is_file():
            lines = [line.strip() for line in _text(root / name).splitlines()]
            return replace(known, names=_unlike(root / name, [n for n in lines if n]))
    return known


def _count(path: Path, nc: Any) -> tuple[Path, int] | None:
    if nc is None:
        return None
    if not isinstance(nc, int) or isinstance(nc, bool):
        raise DataError(f"{printable(path)}: nc: {printable(nc)} is not the number of classes")
    return path, nc


def _keypoints(path: Path, shape: Any) -> Keypoints | None:
    if shape is None:
        return None
    if isinstance(shape, list) and len(shape) == 2:
        points, numbers = shape
        if type(points) is int and points > 0 and numbers in (2, 3):
            return points, numbers
    raise DataError(
        f"{printable(path)}: kpt_shape: {printable(shape)} is not [K, 2] or [K, 3], the number of "
        "keypoints and of the numbers of each"
    )


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
    names = [composed(name) for name in names]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise DataError(f"{printable(path)}: two classes are called {printable(name)}")
    return tuple(names)


def _splits(path: Path, content: Mapping[Any, Any]) -> dict[str, Named]:
    """Return what is said of each split that is named, by any of its names.

    Raises:
        DataError: If two keys are one split and differ, or one is no folder, list of pictures, or
            list of these.
    """
    below = content.get("path")
    below = below if isinstance(below, str) else ""
    named: dict[str, Named] = {}
    for key, value in content.items():
        split = split_of(key) if isinstance(key, str) else None
        if split is None or value in (None, "", []):
            continue
        places = value if isinstance(value, list) else [value]
        if not all(isinstance(place, str) and place for place in places):
            raise DataError(
                f"{printable(path)}: {key}: is no folder of pictures, no text file that lists "
                "them, and no list of these"
            )
        known = named.setdefault(split, Named(path, key, tuple(places), below))
        if known.places != tuple(places):
            raise DataError(
                f"{printable(path)}: {known.key} and {key} are both the split {split}; remove one"
            )
    return {split: named[split] for split in SPLITS if split in named}


def _yaml(path: Path) -> Any:
    try:
        return parse_yaml(_text(path), printable(path))
    except ConfigError as error:
        raise DataError(str(error)) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not text in UTF-8") from error
