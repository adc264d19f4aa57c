"""Which pictures a folder holds: their splits and classes, by the names of folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from .listing import composed, pictures_below
from .splits import by_split_folder, divided, split_of

_Named = list[tuple[PurePosixPath, str | None]]
"""Files, relative to the root, each with its class."""

EXPECTED = (
    "expected are pictures in a folder for each class (ROOT/cat/1.jpg) or directly in it "
    "(ROOT/1.jpg), and these perhaps in folders train, val and test (ROOT/train/cat/1.jpg)"
)


@dataclass(frozen=True)
class Layout:
    """The pictures of a folder.

    Attributes:
        classes: The names of all class folders, over all splits, sorted.
        pictures: Of each split its files, sorted, each with its class or None.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, str | None]]]


def read_layout(root: Path, shares: Mapping[str, float], seed: int) -> Layout:
    """Return what stands in a folder; no picture is opened.

    Args:
        root: The folder.
        shares: Of `val` and `test` the share of the training pictures that each takes, where it
            has no folder of its own.
        seed: What the choice depends on, together with each picture's own name; so no picture
            changes sides when others are added.

    Raises:
        DataError: If there is no such folder or no picture in it, or the layout is ambiguous.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}; {EXPECTED}")
    found = pictures_below(root)
    if not found:
        raise DataError(f"data.root: no pictures in {str(root)!r}; {EXPECTED}")
    folders = by_split_folder(root, found)
    depth = 1 if len(found[0].parts) > 1 and split_of(found[0].parts[0]) else 0
    by_folder = {split: _with_classes(root, names, depth) for split, names in folders.items()}
    by_split = divided(by_folder, shares, seed, lambda picture: picture[0])
    return Layout(
        tuple(sorted({of for part in by_folder.values() for _, of in part if of is not None})),
        {split: [(root / name, of) for name, of in part] for split, part in by_split.items()},
    )


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
