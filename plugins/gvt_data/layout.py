"""Which pictures a folder holds: their splits and classes, by the names of folders."""

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
"""Files, relative to the root, each with its class."""

EXPECTED = (
    "expected are pictures in a folder for each class (ROOT/cat/1.jpg) or directly in it "
    "(ROOT/1.jpg), and these perhaps in folders train, val and test (ROOT/train/cat/1.jpg)"
)

_NAMED = 5
"""Folders that are named in a message."""

_WORD = re.compile("[A-Z]?[a-z]+|[A-Z]+")


@dataclass(frozen=True)
class Layout:
    """The pictures of a folder.

    Attributes:
        classes: The names of all class folders, over all splits, sorted.
        pictures: Of each split its files, sorted, each with its class or None.
        others: Of each split the files beside its pictures, relative to the root.
        empty: Folders, relative to the root, where a class or a split may be expected and no
            picture is.
        hint: What to do if one class is too few; empty where nothing is known.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, str | None]]]
    others: Mapping[str, Sequence[PurePosixPath]]
    empty: tuple[PurePosixPath, ...] = ()
    hint: str = ""


def read_layout(
    root: Path, shares: Mapping[str, float], seed: int, *, by_name: bool = False
) -> Layout:
    """Return what stands in a folder; no picture is opened.

    Args:
        root: The folder.
        shares: Of `val` and `test` the share of the training pictures that each takes, where it
            has no folder of its own.
        seed: What the choice depends on, together with each picture's own name; so no picture
            changes sides when others are added.
        by_name: Whether classes are asked for by their names, whatever these are.

    Raises:
        DataError: If there is no such folder or no picture in it, or the layout is ambiguous.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}; {EXPECTED}")
    names, others = pictures_and_others(root)
    if not names:
        raise DataError(f"data.root: no pictures in {str(root)!r}; {EXPECTED}")
    folders = by_split_folder(root, names)
    own = split_folders(root, (name.parts[0] for name in names if len(name.parts) > 1))
    by_folder = {s: _with_classes(root, part, 1 if own else 0) for s, part in folders.items()}
    classes = sorted({of for part in by_folder.values() for _, of in part if of is not None})
    if not by_name:
        _check_names(root, own, names, classes)
    by_split = divided(by_folder, shares, seed, lambda picture: picture[0])
    return Layout(
        tuple(classes),
        {split: [(root / name, of) for name, of in part] for split, part in by_split.items()},
        beside(others, own),
        _empty(root, own, classes),
        _hint(root, own, names) if len(classes) == 1 else "",
    )


def beside(
    others: Sequence[PurePosixPath], own: Mapping[str, str]
) -> dict[str, list[PurePosixPath]]:
    """Return files by split, those in no split's folder as of `train`.

    Args:
        others: The files.
        own: Of each split that has a folder its name.
    """
    split_by_folder = {folder: split for split, folder in own.items()}
    parts: dict[str, list[PurePosixPath]] = {}
    for name in others:
        parts.setdefault(split_by_folder.get(name.parts[0], "train"), []).append(name)
    return parts


def _with_classes(root: Path, names: Sequence[PurePosixPath], depth: int) -> _Named:
    """Return files with the folder at a depth as their class, None for those that have none."""
    named = [(n, composed(n.parts[depth]) if len(n.parts) > depth + 1 else None) for n in names]
    loose = [name for name, of in named if of is None]
    if loose and len(loose) < len(named):
        inside = next(name for name, of in named if of is not None)
        raise DataError(
            f"data.root: {str(root)!r} has pictures in class folders ({printable(inside)}) and "
            f"beside them ({printable(loose[0])}); give these a folder, or move them away"
        )
    return named


def _check_names(
    root: Path, own: Mapping[str, str], names: Sequence[PurePosixPath], classes: Sequence[str]
) -> None:
    """Check that no folder of a split is taken for a class, or for a part of one.

    Raises:
        DataError: If it would be.
    """
    named = "; or, if these are classes, name them in data.classes"
    if len(classes) > 1 and all(map(_looks_like_a_split, classes)):
        raise DataError(
            f"data.root: all folders of pictures in {str(root)!r} are called like splits "
            f"({_listed(classes)}); call them train, val and test{named}"
        )
    if own or not all(any(map(split_of, name.parts[1:-1])) for name in names):
        return
    above = {_above_split(name) for name in names}
    if len(above) > 1:
        raise DataError(
            f"data.root: {str(root)!r} has splits below its class folders "
            f"({printable(names[0])}), and they are read above them only (ROOT/train/cat/1.jpg); "
            f"move them{named}"
        )
    place = root / above.pop()
    raise DataError(
        f"data.root: the splits are in a folder of {str(root)!r}; give {_as_root(place)}"
    )


def _above_split(name: PurePosixPath) -> PurePosixPath:
    """Return the folders above the first one that is called like a split, not at the root."""
    at = next(i for i, part in enumerate(name.parts) if i and split_of(part))
    return PurePosixPath(*name.parts[:at])


def _looks_like_a_split(name: str) -> bool:
    """Whether a word of a name is a split's, as in `seg_train` or `trainA`."""
    return any(map(split_of, (name, *_WORD.findall(name))))


def _empty(root: Path, own: Mapping[str, str], classes: Sequence[str]) -> tuple[PurePosixPath, ...]:
    """Return the folders without a picture that stand beside those of classes and splits."""
    if not classes and not own:
        return ()
    places = [PurePosixPath(), *map(PurePosixPath, own.values())] if own else [PurePosixPath()]
    full = {*own.values(), *classes} if own else {*classes}
    found = []
    for place in places:
        beside_splits = own and place == PurePosixPath()
        for path in sorted((root / place).iterdir()):
            expected = split_of(path.name) is not None if beside_splits else bool(classes)
            if expected and path.is_dir() and not is_passed_over(path.name):
                found += [] if composed(path.name) in full else [place / path.name]
    return tuple(found)


def _hint(root: Path, own: Mapping[str, str], names: Sequence[PurePosixPath]) -> str:
    """Return where classes may be if all pictures are in one folder, by the folders in it."""
    depth = 1 if own else 0
    folders = [name.parts[depth:-1] for name in names]
    ends = zip(min(folders), max(folders), strict=False)
    common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], ends)]
    inside = sorted({folder[len(common)] for folder in folders if len(folder) > len(common)})
    if len(inside) < 2 or any(len(folder) == len(common) for folder in folders):
        return ""
    split = next(iter(own.values()), "")
    place = PurePosixPath(split, *common)
    hint = f"if its classes are the folders in {printable(place)} ({_listed(inside)})"
    if own:
        return f"{hint}, move them up into {printable(split)}, and so in every split"
    return f"{hint}, give {_as_root(root / place)}"


def _as_root(place: Path) -> str:
    return shlex.quote(f"data.root={printable(place)}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return printable(", ".join(names[:_NAMED])) + more
