"""Which pictures a folder holds: their splits and classes, by the names of folders."""

from __future__ import annotations

import stat
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError, derive
from gvt.pictures.reading import SUFFIXES
from gvt.printable import printable

SPLITS = ("train", "val", "test")

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
    found = _pictures_below(root)
    if not found:
        raise DataError(f"data.root: no pictures in {str(root)!r}; {EXPECTED}")
    by_folder = _by_split_folder(root, found)
    by_split = _divided(by_folder, shares, seed)
    return Layout(
        tuple(sorted({of for part in by_folder.values() for _, of in part if of is not None})),
        {split: [(root / name, of) for name, of in part] for split, part in by_split.items()},
    )


_Named = list[tuple[PurePosixPath, str | None]]
"""Files, relative to the root, each with its class."""


def _pictures_below(root: Path) -> list[PurePosixPath]:
    """Return all pictures that are not hidden, relative to the root, sorted.

    Links are followed, and every folder is listed once, however many of them lead to it: at its
    own place if that is below the root, otherwise by the first link.

    Raises:
        DataError: If a folder cannot be listed.
    """
    found: list[PurePosixPath] = []
    seen: set[tuple[int, int]] = set()
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            inside = sorted(folder.iterdir())
        except OSError as error:
            reason = error.strerror
            raise DataError(f"{printable(folder)}: cannot be listed: {reason}") from error
        for path in (path for path in inside if not path.name.startswith(".")):
            kind = _kind(path)
            if kind == stat.S_IFDIR:
                (links if path.is_symlink() else folders).append(path)
            elif kind in (stat.S_IFREG, None) and path.suffix.lower() in SUFFIXES:
                found.append(PurePosixPath(path.relative_to(root).as_posix()))
    return sorted(found)


def _kind(path: Path) -> int | None:
    """Return what is at the end of a path, such as `stat.S_IFREG`: a pipe would block a reader.

    None is a link to what is not there or not to be seen; reading it says so.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None


def _by_split_folder(root: Path, found: Sequence[PurePosixPath]) -> dict[str, _Named]:
    """Return the pictures of each split folder; all are `train` where there is none."""
    split_folders = {name.parts[0] for name in found} & set(SPLITS)
    if not split_folders:
        return {"train": _with_classes(root, found, 0)}
    for name in found:
        if name.parts[0] not in split_folders:
            raise DataError(
                f"data.root: {str(root)!r} has {printable(name)} beside its split "
                f"{min(split_folders)}; in a folder with train, val or test all pictures stand in "
                "these"
            )
    return {
        split: _with_classes(root, [n for n in found if n.parts[0] == split], 1)
        for split in sorted(split_folders)
    }


def _with_classes(root: Path, names: Sequence[PurePosixPath], depth: int) -> _Named:
    """Return files with the folder at a depth as their class, None for those that have none."""
    named = [(n, n.parts[depth] if len(n.parts) > depth + 1 else None) for n in names]
    loose = [name for name, of in named if of is None]
    if loose and len(loose) < len(named):
        inside = next(name for name, of in named if of is not None)
        raise DataError(
            f"data.root: {str(root)!r} has pictures in class folders ({printable(inside)}) and "
            f"beside them ({printable(loose[0])}); give these a folder, or move them away"
        )
    return named


def _divided(
    by_folder: Mapping[str, _Named], shares: Mapping[str, float], seed: int
) -> dict[str, _Named]:
    """Return the pictures of every split; one without a folder takes its share of `train`."""
    divided = {split: by_folder.get(split, []) if split != "train" else [] for split in SPLITS}
    taken = {split: 0.0 if split in by_folder else share for split, share in shares.items()}
    for name, of in by_folder.get("train", []):
        own = name.relative_to("train") if name.parts[0] == "train" else name
        # Val is taken from one end and test from the other, so that neither moves the other.
        place = derive(seed, "split", own.as_posix()) / 2**63
        in_test = place >= 1 - taken["test"]
        split = "val" if place < taken["val"] else "test" if in_test else "train"
        divided[split].append((name, of))
    return divided
