"""Read YOLO's data.yaml: names of classes, splits, and keypoints."""

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
from .pairing import read_text
from .yolo_lines import Keypoints, Line, parsed
from .yolo_splits import Named

_SHOWN = 5
"""The number of class names in an error message."""


@dataclass(frozen=True)
class Described:
    """The description of a data set in its YAML and text files.

    Attributes:
        names: Names of the classes, in the order of their indices; None if absent.
        splits: The named splits.
        count: The number of classes, `nc`, and the file that has it; None if absent.
        keypoints: The keypoints behind each box, `kpt_shape`; None if absent.
    """

    names: tuple[str, ...] | None = None
    splits: Mapping[str, Named] = field(default_factory=dict)
    count: tuple[Path, int] | None = None
    keypoints: Keypoints | None = None

    def check_count(self) -> None:
        """Check that the number of names is `nc`.

        Raises:
            DataError: If it is not.
        """
        if self.count is not None and self.names is not None:
            path, count = self.count
            if count != len(self.names):
                few = [printable(name) for name in self.names[:_SHOWN]]
                more = ["..."] if len(self.names) > _SHOWN else []
                raise DataError(
                    f"{printable(path)}: nc is {count}, but there are {len(self.names)} names: "
                    f"{', '.join(few + more)}; correct one of them, or give data.classes"
                )


def read_lines(path: Path, names: Sequence[str]) -> tuple[Line, ...]:
    """Return the lines of a text file with labels.

    Raises:
        DataError: If it cannot be read.
    """
    return parsed(path, read_text(path), names)


def described(root: Path) -> Described:
    """Return the description in data.yaml, another YAML file with `names`, or classes.txt.

    Entries that data.yaml does not have are taken from the file with `names`.

    Raises:
        DataError: If such a file cannot be read or is not valid.
    """
    description = Described()
    for path in sorted(root.glob("*.y*ml"), key=lambda path: (path.stem != "data", path.name)):
        content = _yaml(path)
        if isinstance(content, Mapping) and ("names" in content or path.stem == "data"):
            description = replace(
                description,
                splits=description.splits or _splits(path, content),
                count=description.count or _count(path, content.get("nc")),
                keypoints=description.keypoints or _keypoints(path, content.get("kpt_shape")),
            )
            if "names" in content:
                return replace(description, names=_names(path, content["names"]))
    for name in ("classes.txt", "labels/classes.txt", "obj.names"):
        if (root / name).is_file():
            lines = [line.strip() for line in read_text(root / name).splitlines()]
            return replace(description, names=_distinct(root / name, [n for n in lines if n]))
    return description


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
        "keypoints and of numbers per keypoint"
    )


def _names(path: Path, names: Any) -> tuple[str, ...]:
    """Return the entry `names`, which is a list, or a mapping with the keys 0, 1, 2 and so on."""
    if isinstance(names, Mapping):
        if sorted(map(str, names)) != sorted(map(str, range(len(names)))):
            last = len(names) - 1
            raise DataError(f"{printable(path)}: names: its keys are not the numbers 0 to {last}")
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list) or not names:
        raise DataError(f"{printable(path)}: names: is not a list of the names of the classes")
    return _distinct(path, [str(name) for name in names])


def _distinct(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    names = [composed(name) for name in names]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise DataError(f"{printable(path)}: two classes are called {printable(name)}")
    return tuple(names)


def _splits(path: Path, content: Mapping[Any, Any]) -> dict[str, Named]:
    """Return the entries of the splits, under any of their names.

    Raises:
        DataError: If two keys of the same split differ, or a value is not a folder, a text file or
            a list of these.
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
                f"{printable(path)}: {key}: is neither a folder of images, nor a text file that "
                "lists images, nor a list of these"
            )
        first = named.setdefault(split, Named(path, key, tuple(places), below))
        if first.places != tuple(places):
            raise DataError(
                f"{printable(path)}: {first.key} and {key} are both the split {split}; remove one"
            )
    return {split: named[split] for split in SPLITS if split in named}


def _yaml(path: Path) -> Any:
    try:
        return parse_yaml(read_text(path), printable(path))
    except ConfigError as error:
        raise DataError(str(error)) from error
