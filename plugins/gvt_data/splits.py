"""Which pictures are for training: by folders, by lists, or by a share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from gvt import DataError, derive
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES

from .listing import composed, composed_path

SPLITS = ("train", "val", "test")

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What each split may be called, in small letters; its own name is the first."""

# COCO's folders end with a year, and Kaggle's often with "set" or "data".
_ENDING = re.compile(r"2014|2017|[-_ ]?(?:set|data)")

T = TypeVar("T")


def split_of(name: str) -> str | None:
    """Return which split is called by a name, in any case of letters; None if none is.

    It takes the names in `SPLIT_NAMES`, and these with an ending: `train2017`, `test_set`.
    """
    folded = name.casefold()
    for split, names in SPLIT_NAMES.items():
        for known in names:
            if folded == known or (
                folded.startswith(known) and _ENDING.fullmatch(folded.removeprefix(known))
            ):
                return split
    return None


def split_folders(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the name by which each split is called among some names, in the order of `SPLITS`.

    Args:
        root: The folder that the names are in, for messages.
        names: Names of folders or files, each perhaps several times.

    Raises:
        DataError: If two different names mean one split.
    """
    named: dict[str, str] = {}
    for name in sorted(set(names)):
        split = split_of(name)
        if split is not None and named.setdefault(split, name) != name:
            raise DataError(
                f"data.root: {printable(named[split])} and {printable(name)} in {str(root)!r} are "
                f"both the split {split}; rename one, join the two, or move one away"
            )
    return {split: named[split] for split in SPLITS if split in named}


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
        DataError: If there are split folders, and pictures beside them, or two folders of one
            split.
    """
    folders = split_folders(root, (name.parts[0] for name in found if len(name.parts) > 1))
    if not folders:
        return {"train": list(found)}
    for name in found:
        if len(name.parts) == 1 or name.parts[0] not in folders.values():
            raise DataError(
                f"data.root: {str(root)!r} has {printable(name)} beside the split "
                f"{printable(min(folders.values()))}; where there are folders of splits (train, "
                "val, test), all pictures belong in these"
            )
    return {split: [n for n in found if n.parts[0] == own] for split, own in folders.items()}


def divided(
    by_folder: Mapping[str, Sequence[T]],
    shares: Mapping[str, float],
    seed: int,
    name_of: Callable[[T], PurePosixPath],
) -> dict[str, list[T]]:
    """Return the pictures of every split; one without a folder takes its share of `train`.

    The choice depends on the seed and on each picture's own name, so that no picture changes
    sides when others are added. A share above 0 takes at least one picture, and at least one is
    left to train on.

    Raises:
        DataError: If there are too few pictures for that.
    """
    parts = {split: [*by_folder.get(split, ())] if split != "train" else [] for split in SPLITS}
    taken = {split: share for split, share in shares.items() if share and split not in by_folder}
    pool = by_folder.get("train", ())
    if pool and len(pool) <= len(taken):
        least = len(taken) + 1
        zero = " ".join(f"data.{split}=0" for split in taken)
        raise DataError(
            f"data: {len(pool)} training pictures cannot be shared out to train"
            f"{''.join(f', {split} ({share})' for split, share in taken.items())}; at least "
            f"{least} are needed, or {zero}"
        )
    places = [
        derive(seed, "split", composed(own_name(name_of(item)).as_posix())) / 2**63 for item in pool
    ]
    for item, split in zip(pool, _sides(places, taken), strict=True):
        parts[split].append(item)
    return parts


def _sides(places: Sequence[float], taken: Mapping[str, float]) -> list[str]:
    """Return the split of each picture by its place from 0 to 1."""
    val, test = taken.get("val", 0.0), taken.get("test", 0.0)
    # Val is taken from one end and test from the other, so that neither moves the other.
    count = {
        "val": max(sum(place < val for place in places), "val" in taken),
        "test": max(sum(val <= place and place >= 1 - test for place in places), "test" in taken),
    }
    while places and sum(count.values()) >= len(places):
        count[max(count, key=count.__getitem__)] -= 1
    sides = ["train"] * len(places)
    order = sorted(range(len(places)), key=places.__getitem__)
    for rank, index in enumerate(order):
        if rank < count["val"]:
            sides[index] = "val"
        elif rank >= len(order) - count["test"]:
            sides[index] = "test"
    return sides


def own_name(name: PurePosixPath) -> PurePosixPath:
    """Return a training picture's name without its split folder."""
    inside = len(name.parts) > 1 and split_of(name.parts[0]) == "train"
    return name.relative_to(name.parts[0]) if inside else name


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

    A number stands for the name with this value, so 5 is 05. Composed and decomposed letters are
    the same.

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
    by_name = {composed(name): name for name in names}
    chosen = set()
    for where, entry in wanted:
        if isinstance(entry, int):
            meant = by_number.get(entry, [])
        else:
            stem = composed_path(without_suffix(entry)).as_posix()
            meant = [by_name[stem]] if stem in by_name else []
        if len(meant) > 1:
            raise DataError(f"{where}: {entry} may be {' or '.join(meant)}; write it as text")
        if not meant:
            raise DataError(f"{where}: no picture is called {printable(entry)}")
        chosen.add(meant[0])
    return {name: item for name, item in names.items() if name in chosen}


def without_suffix(name: str) -> PurePosixPath:
    """Return what a picture is called, by a name with a picture's suffix or without."""
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
