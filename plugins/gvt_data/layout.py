"""The images of a folder, with splits and classes from the names of folders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import is_passed_over

from .listing import composed, pictures_and_others
from .splits import by_split_folder, divided, split_folders, split_of

_Named = list[tuple[PurePosixPath, str | None]]
"""Files, relative to the root, each with its class or None."""

EXPECTED = (
    "expected: images in a folder for each class (ROOT/cat/1.jpg) or directly in the root "
    "(ROOT/1.jpg), optionally in folders train, val and test (ROOT/train/cat/1.jpg)"
)

_NAMED = 5
"""Folders listed in a message."""

_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


@dataclass(frozen=True)
class Layout:
    """The images of a folder.

    Attributes:
        classes: Names of the class folders over all splits, sorted.
        pictures: Image files of each split, sorted, each with its class or None.
        others: Further files of each split, relative to the root.
        empty: Folders without images, relative to the root, where a class or a split may be
            expected.
        hint: Advice for a task that needs several classes, or an empty string.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, str | None]]]
    others: Mapping[str, Sequence[PurePosixPath]]
    empty: tuple[PurePosixPath, ...] = ()
    hint: str = ""


def read_layout(
    root: Path, shares: Mapping[str, float], seed: int, *, by_name: bool = False
) -> Layout:
    """Return the images of a folder without opening them.

    Args:
        root: Root folder.
        shares: Shares of the training images for `val` and `test`, for each that has no folder.
        seed: Seed of the choice, which also depends on the name of each image: adding images moves
            no image to another split.
        by_name: Whether the classes are chosen by name, so that any name is accepted.

    Raises:
        DataError: If the folder is missing or has no images, or the layout is ambiguous.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}; {EXPECTED}")
    names, others = pictures_and_others(root)
    if not names:
        raise DataError(f"data.root: no images in {str(root)!r}; {EXPECTED}")
    splits = split_folders(root, (name.parts[0] for name in names if len(name.parts) > 1))
    depth = 1 if splits else 0
    by_folder = {
        split: _with_classes(root, names_of_split, depth)
        for split, names_of_split in by_split_folder(root, names).items()
    }
    classes = sorted({cls for named in by_folder.values() for _, cls in named if cls is not None})
    if not by_name:
        _check_names(root, splits, names, classes)
    by_split = divided(by_folder, shares, seed, lambda image: image[0])
    return Layout(
        tuple(classes),
        {split: [(root / name, cls) for name, cls in named] for split, named in by_split.items()},
        beside(others, splits),
        _empty(root, splits, classes),
        _hint(root, splits, names) if len(classes) == 1 else "",
    )


def beside(
    files: Sequence[PurePosixPath], splits: Mapping[str, str]
) -> dict[str, list[PurePosixPath]]:
    """Return files by split; those outside the folders of splits belong to `train`.

    Args:
        files: Paths relative to the root.
        splits: Folder of each split that has one.
    """
    split_by_folder = {folder: split for split, folder in splits.items()}
    by_split: dict[str, list[PurePosixPath]] = {}
    for name in files:
        by_split.setdefault(split_by_folder.get(name.parts[0], "train"), []).append(name)
    return by_split


def _with_classes(root: Path, names: Sequence[PurePosixPath], depth: int) -> _Named:
    """Return files with the folder at a depth as their class, None for files without one."""
    named = [(n, composed(n.parts[depth]) if len(n.parts) > depth + 1 else None) for n in names]
    loose = [name for name, cls in named if cls is None]
    if loose and len(loose) < len(named):
        inside = next(name for name, cls in named if cls is not None)
        raise DataError(
            f"data.root: {str(root)!r} has images in class folders ({printable(inside)}) and "
            f"beside them ({printable(loose[0])}); move the latter into a folder, or away"
        )
    return named


def _check_names(
    root: Path, splits: Mapping[str, str], names: Sequence[PurePosixPath], classes: Sequence[str]
) -> None:
    """Check that no folder of a split is read as a class or as a part of one.

    Raises:
        DataError: If one is.
    """
    if_classes = "; or, if these are classes, name them in data.classes"
    if len(classes) > 1 and all(map(_looks_like_a_split, classes)):
        raise DataError(
            f"data.root: all folders of images in {str(root)!r} are named like splits "
            f"({_listed(classes)}); name them train, val and test{if_classes}"
        )
    if splits or not all(any(map(split_of, name.parts[1:-1])) for name in names):
        return
    above = {_above_split(name) for name in names}
    if len(above) > 1:
        raise DataError(
            f"data.root: {str(root)!r} has splits below its class folders "
            f"({printable(names[0])}), but splits are read only above them "
            f"(ROOT/train/cat/1.jpg); move them{if_classes}"
        )
    place = root / above.pop()
    raise DataError(
        f"data.root: the splits are in a folder of {str(root)!r}; give {_as_root(place)}"
    )


def _above_split(name: PurePosixPath) -> PurePosixPath:
    """Return the folders above the first folder below the root that is named like a split."""
    at = next(i for i, part in enumerate(name.parts) if i and split_of(part))
    return PurePosixPath(*name.parts[:at])


def _looks_like_a_split(name: str) -> bool:
    """Return whether a word of a name stands for a split, as in `seg_train` or `trainA`."""
    return any(map(split_of, (name, *_WORD.findall(name))))


def _empty(
    root: Path, splits: Mapping[str, str], classes: Sequence[str]
) -> tuple[PurePosixPath, ...]:
    """Return the folders without images beside those of classes and splits."""
    if not classes and not splits:
        return ()
    full = {*splits.values(), *classes}
    empty = []
    for place in [PurePosixPath(), *map(PurePosixPath, splits.values())]:
        beside_splits = splits and place == PurePosixPath()
        for path in sorted((root / place).iterdir()):
            is_expected = split_of(path.name) is not None if beside_splits else bool(classes)
            if is_expected and path.is_dir() and not is_passed_over(path.name):
                empty += [] if composed(path.name) in full else [place / path.name]
    return tuple(empty)


def _hint(root: Path, splits: Mapping[str, str], names: Sequence[PurePosixPath]) -> str:
    """Return where the classes may be if all images are in one folder with subfolders."""
    depth = 1 if splits else 0
    folders = [name.parts[depth:-1] for name in names]
    ends = zip(min(folders), max(folders), strict=False)
    common = [part for part, _ in takewhile(lambda pair: pair[0] == pair[1], ends)]
    inside = sorted({folder[len(common)] for folder in folders if len(folder) > len(common)})
    if len(inside) < 2 or any(len(folder) == len(common) for folder in folders):
        return ""
    split = next(iter(splits.values()), "")
    place = PurePosixPath(split, *common)
    hint = f"if its classes are the folders in {printable(place)} ({_listed(inside)})"
    if splits:
        return f"{hint}, move them up into {printable(split)}, and likewise in every split"
    return f"{hint}, give {_as_root(root / place)}"


def _as_root(place: Path) -> str:
    return shlex.quote(f"data.root={printable(place)}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return printable(", ".join(names[:_NAMED])) + more
