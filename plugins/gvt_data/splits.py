"""Which pictures are for training: by folders, by lists, or by a share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from gvt import DataError, derive
from gvt.pictures.reading import SUFFIXES
from gvt.printable import printable

SPLITS = ("train", "val", "test")

T = TypeVar("T")


def check_shares(shares: Mapping[str, float]) -> None:
    """Check that the shares of what is held out leave something to train on.

    Raises:
        ValueError: If they do not, or one is negative.
    """
    if min(shares.values(), default=0) < 0 or sum(shares.values()) >= 1:
        given = " and ".join(f"{split} {share}" for split, share in shares.items())
        raise ValueError(f"{given}: shares from 0, together less than 1")


def by_split_folder(root: Path, found: Sequence[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """Return the pictures of each split folder; all are `train` where there is none.

    Raises:
        DataError: If there are split folders, and pictures beside them.
    """
    split_folders = {name.parts[0] for name in found if len(name.parts) > 1} & set(SPLITS)
    if not split_folders:
        return {"train": list(found)}
    for name in found:
        if name.parts[0] not in split_folders:
            raise DataError(
                f"data.root: {str(root)!r} has {printable(name)} beside its split "
                f"{min(split_folders)}; in a folder with train, val or test all pictures stand in "
                "these"
            )
    return {
        split: [n for n in found if n.parts[0] == split]
        for split in SPLITS
        if split in split_folders
    }


def divided(
    by_folder: Mapping[str, Sequence[T]],
    shares: Mapping[str, float],
    seed: int,
    name_of: Callable[[T], PurePosixPath],
) -> dict[str, list[T]]:
    """Return the pictures of every split; one without a folder takes its share of `train`.

    The choice depends on the seed and on each picture's own name, so that no picture changes
    sides when others are added.
    """
    parts = {split: [*by_folder.get(split, ())] if split != "train" else [] for split in SPLITS}
    taken = {split: shares.get(split, 0.0) if split not in by_folder else 0.0 for split in SPLITS}
    for item in by_folder.get("train", ()):
        # Val is taken from one end and test from the other, so that neither moves the other.
        place = derive(seed, "split", own_name(name_of(item)).as_posix()) / 2**63
        in_test = place >= 1 - taken["test"]
        parts["val" if place < taken["val"] else "test" if in_test else "train"].append(item)
    return parts


def own_name(name: PurePosixPath) -> PurePosixPath:
    """Return a name without its split folder."""
    return name.relative_to("train") if name.parts[0] == "train" else name


Listed = Sequence[tuple[str, str | int]]
"""Names of pictures, each with where it is written."""


def listed(root: Path, split: str, wanted: str | Sequence[int | str]) -> Listed:
    """Return the names of a split's pictures, each with where it is written.

    Args:
        root: The data set's folder.
        split: Which split they are of.
        wanted: A text file below the root with a name on each line, or the names themselves.

    Raises:
        DataError: If there is no such file, or it is no text or empty.
    """
    if not isinstance(wanted, str):
        return [(f"data.{split}", name) for name in wanted]
    path = root / wanted
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"data.{split}: {printable(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.{split}: {printable(path)}: is no text in UTF-8") from error
    return [
        (f"{printable(path)}: line {number}", line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def picked(names: Mapping[str, T], wanted: Listed) -> dict[str, T]:
    """Return what is listed, by name and in the order of the names.

    A number stands for the name with this value, so 5 is 05.

    Args:
        names: What there is, by name without suffix.
        wanted: What `listed` gave.

    Raises:
        DataError: If one is not there, or a number stands for two.
    """
    by_number: dict[int, list[str]] = {}
    for name in names:
        if name.isdecimal():
            by_number.setdefault(int(name), []).append(name)
    found = set()
    for where, given in wanted:
        meant = (
            by_number.get(given, [])
            if isinstance(given, int)
            else [without_suffix(given).as_posix()]
        )
        if len(meant) > 1:
            raise DataError(f"{where}: {given} may be {' or '.join(meant)}; write it as text")
        if not meant or meant[0] not in names:
            raise DataError(f"{where}: no picture is called {printable(given)}")
        found.add(meant[0])
    return {name: item for name, item in names.items() if name in found}


def without_suffix(name: str) -> PurePosixPath:
    """Return what a picture is called, by a name with a picture's suffix or without."""
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
