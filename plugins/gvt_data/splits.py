"""Assignment of images to splits: by folders, by lists, or by shares."""

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
"""Names of each split in lower case, the canonical name first."""

# COCO's folders end with a year, and many of Kaggle's with "set" or "data".
_ENDING = re.compile(r"2014|2017|[-_ ]?(?:set|data)")

T = TypeVar("T")


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, ignoring case; None if there is none.

    The names are those in `SPLIT_NAMES`, optionally with an ending: `train2017`, `test_set`.
    """
    folded = name.casefold()
    for split, names in SPLIT_NAMES.items():
        for usual in names:
            if folded == usual or (
                folded.startswith(usual) and _ENDING.fullmatch(folded.removeprefix(usual))
            ):
                return split
    return None


def split_folders(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Return which of the names stands for each split, in the order of `SPLITS`.

    Args:
        root: Folder of the names, for messages.
        names: Names of folders or files, with or without repetition.

    Raises:
        DataError: If two different names stand for one split.
    """
    named: dict[str, str] = {}
    for name in sorted(set(names)):
        split = split_of(name)
        if split is not None and named.setdefault(split, name) != name:
            raise DataError(
                f"data.root: {printable(named[split])} and {printable(name)} in {str(root)!r} are "
                f"both the split {split}; rename one, merge the two, or move one away"
            )
    return {split: named[split] for split in SPLITS if split in named}


def check_shares(shares: Mapping[str, float]) -> None:
    """Check that the shares of the held-out splits leave something to train on.

    Raises:
        ValueError: If they do not, or a share is negative.
    """
    if min(shares.values(), default=0) < 0 or sum(shares.values()) >= 1:
        text = " and ".join(f"{split} {share}" for split, share in shares.items())
        raise ValueError(f"{text}: give shares of at least 0 and together less than 1")


def by_split_folder(root: Path, names: Sequence[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    """Return the images of each split folder; all images are `train` if there is none.

    Raises:
        DataError: If there are images beside split folders, or two folders of one split.
    """
    folders = split_folders(root, (name.parts[0] for name in names if len(name.parts) > 1))
    if not folders:
        return {"train": list(names)}
    for name in names:
        if len(name.parts) == 1 or name.parts[0] not in folders.values():
            raise DataError(
                f"data.root: {str(root)!r} has {printable(name)} beside the split "
                f"{printable(min(folders.values()))}; if there are folders of splits (train, val, "
                "test), put all images into them"
            )
    return {split: [n for n in names if n.parts[0] == base] for split, base in folders.items()}


def divided(
    by_folder: Mapping[str, Sequence[T]],
    shares: Mapping[str, float],
    seed: int,
    name_of: Callable[[T], PurePosixPath],
) -> dict[str, list[T]]:
    """Return the images of every split; a split without a folder has its share of `train`.

    The choice depends on the seed and on the name of each image, so adding images moves no image
    to another split. A share above 0 selects at least one image, and at least one is left for
    training.

    Raises:
        DataError: If there are too few images.
    """
    by_split = {split: [*by_folder.get(split, ())] if split != "train" else [] for split in SPLITS}
    active = {split: share for split, share in shares.items() if share and split not in by_folder}
    pool = by_folder.get("train", ())
    if pool and len(pool) <= len(active):
        zero = " ".join(f"data.{split}=0" for split in active)
        raise DataError(
            f"data: {len(pool)} training images are too few for train"
            f"{''.join(f', {split} ({share})' for split, share in active.items())}; add images "
            f"(at least {len(active) + 1} are needed), or give {zero}"
        )
    draws = [
        derive(seed, "split", composed(own_name(name_of(item)).as_posix())) / 2**63 for item in pool
    ]
    for item, split in zip(pool, _drawn_splits(draws, active), strict=True):
        by_split[split].append(item)
    return by_split


def _drawn_splits(draws: Sequence[float], shares: Mapping[str, float]) -> list[str]:
    """Return the split of each image from its random number in [0, 1)."""
    val, test = shares.get("val", 0.0), shares.get("test", 0.0)
    # Val is at one end and test at the other, so neither share changes the other split.
    count = {
        "val": max(sum(draw < val for draw in draws), "val" in shares),
        "test": max(sum(val <= draw and draw >= 1 - test for draw in draws), "test" in shares),
    }
    while draws and sum(count.values()) >= len(draws):
        count[max(count, key=count.__getitem__)] -= 1
    splits = ["train"] * len(draws)
    order = sorted(range(len(draws)), key=draws.__getitem__)
    for rank, index in enumerate(order):
        if rank < count["val"]:
            splits[index] = "val"
        elif rank >= len(order) - count["test"]:
            splits[index] = "test"
    return splits


def own_name(name: PurePosixPath) -> PurePosixPath:
    """Return the name of a training image without its split folder."""
    inside = len(name.parts) > 1 and split_of(name.parts[0]) == "train"
    return name.relative_to(name.parts[0]) if inside else name


Listed = Sequence[tuple[str, str | int]]
"""Pairs of a location, for messages, and the name of an image."""


def listed(root: Path, split: str, names: str | Sequence[int | str]) -> Listed:
    """Return the names of the images of a split, each with its location.

    Args:
        root: Folder of the data set.
        split: Name of the split.
        names: Text file below the root with one name per line, or the names themselves.

    Raises:
        DataError: If the file cannot be read or is not UTF-8 text.
    """
    if not isinstance(names, str):
        return [(f"data.{split}", name) for name in names]
    path = root / names
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"data.{split}: {printable(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.{split}: {printable(path)}: is not UTF-8 text") from error
    return [
        (f"{printable(path)}: line {number}", line.strip())
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def picked(items: Mapping[str, T], entries: Listed) -> dict[str, T]:
    """Return the listed items, in the order of the items.

    A number stands for the name with this value, so 5 is 05. Composed and decomposed letters are
    equal.

    Args:
        items: Available items by name without suffix.
        entries: Names from `listed`.

    Raises:
        DataError: If a name is not available, or a number stands for two names.
    """
    by_number: dict[int, list[str]] = {}
    for name in items:
        if name.isdecimal():
            by_number.setdefault(int(name), []).append(name)
    by_name = {composed(name): name for name in items}
    names = set()
    for where, entry in entries:
        if isinstance(entry, int):
            matches = by_number.get(entry, [])
        else:
            stem = composed_path(without_suffix(entry)).as_posix()
            matches = [by_name[stem]] if stem in by_name else []
        if len(matches) > 1:
            raise DataError(f"{where}: {entry} may be {' or '.join(matches)}; write it as text")
        if not matches:
            raise DataError(f"{where}: there is no image named {printable(entry)}")
        names.add(matches[0])
    return {name: item for name, item in items.items() if name in names}


def without_suffix(name: str) -> PurePosixPath:
    """Return the name of an image without its suffix, if it has one."""
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
