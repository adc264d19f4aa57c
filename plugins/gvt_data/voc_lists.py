"""Pascal VOC's lists of splits: text files with one image name per line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from .boxes.annotation import AssumedWarning
from .boxes.paths import parts_of
from .listing import composed, composed_path, files_below
from .splits import SPLITS, listed, split_of, without_suffix

# The challenge also has a list for each class and split, with a column for the class.
_OF_A_CLASS = re.compile(r".+\s(-1|0|1)")


@dataclass(frozen=True)
class Lists:
    """The lists of a data set.

    Attributes:
        root: Folder of the data set.
        by_split: File of each split that has one, relative to the root.
        assumed: Whether the list of the training split was assumed rather than named, so that it
            may contain the images of other lists.
    """

    root: Path
    by_split: Mapping[str, Path]
    assumed: bool = False

    def names(self, images: Collection[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
        """Return the distinct names of the images in each list, without suffix and composed.

        A line with a path from another machine stands for the image whose name it ends with. Names
        in other lists are left out of an assumed training list.

        Args:
            images: Names of all images.

        Raises:
            DataError: If a list cannot be read.
        """
        names = {split: _names(self.root, split, file, images) for split, file in self._sorted()}
        if self.assumed:
            held_out = {name for split in ("val", "test") for name in names.get(split, ())}
            names["train"] = [name for name in names["train"] if name not in held_out]
        return names

    def missing(self, split: str) -> DataError:
        """Return the error for a split without images."""
        if split in self.by_split:
            return DataError(f"{printable(self.root / self.by_split[split])}: is empty")
        place = next(iter(self.by_split.values())).parent
        files = ", ".join(printable(file.name) for file in self.by_split.values())
        return DataError(
            f"data.root: {printable(self.root / place)} has no list {split}.txt, only {files}; "
            f"write one, or give data.{split} a share of the training images"
        )

    def _sorted(self) -> list[tuple[str, Path]]:
        return [(split, self.by_split[split]) for split in SPLITS if split in self.by_split]


def split_lists(root: Path, place: Path, split: str, train: str) -> Lists | None:
    """Return the lists of the splits; None if there are no lists.

    Lists are found by the usual names of splits, ignoring case. The list of the training split is
    the one that `train` names. If no list is named like `train`, it is trainval or the only other
    list, with a warning. The challenge's lists of single classes are never lists of splits.

    Args:
        root: Folder of the data set.
        place: Folder of the lists, relative to the root.
        split: Split to be read.
        train: Name of the list of the training split.

    Raises:
        DataError: If two lists are named like one split, the list that `train` names is missing, or
            the list for training is ambiguous.
    """
    files = {
        composed(path.stem): path.relative_to(root)
        for path in sorted((root / place).glob("*.txt"))
        if not path.name.startswith(".")
    }
    if not any(split_of(name) or not _of_a_class(root / file) for name, file in files.items()):
        return None
    by_split: dict[str, Path] = {}
    for each in SPLITS:
        name = train if each == "train" else each
        usual = [file_name for file_name in files if split_of(file_name) == each]
        candidates = [name] if name in files else usual if name == each else []
        if len(candidates) > 1:
            both = " and ".join(printable(files[candidate]) for candidate in candidates)
            raise DataError(f"data.root: {both} are both the split {each}; remove one of them")
        if candidates:
            by_split[each] = files[candidates[0]]
    if "train" in by_split:
        return Lists(root, by_split)
    unassigned = {
        name: file
        for name, file in files.items()
        if split_of(name) is None and not _of_a_class(root / file)
    }
    candidates = [name for name in unassigned if name.casefold() == "trainval"] or [*unassigned]
    if train == "train" and len(candidates) == 1:
        file = unassigned[candidates[0]]
        warnings.warn(
            f"{printable(root / place)}: has no list train.txt; {printable(file.name)} is used for "
            "training, without the names in other lists; data.train=NAME chooses another list",
            AssumedWarning,
            stacklevel=4,
        )
        return Lists(root, {"train": file, **by_split}, assumed=True)
    if train == "train" and split in by_split:
        return Lists(root, by_split)
    available = ", ".join(printable(file.name) for file in (unassigned or files).values())
    raise DataError(
        f"data.train: {printable(root / place)} has no list {printable(train)}.txt; it has "
        f"{available}; choose the list for training with data.train=NAME"
    )


def files_by_name(folder: Path, suffixes: Collection[str]) -> dict[PurePosixPath, Path]:
    """Return the files with some suffixes below a folder, by composed name without suffix.

    Raises:
        DataError: If two files have one name.
    """
    files: dict[PurePosixPath, Path] = {}
    for name in files_below(folder, suffixes) if folder.is_dir() else ():
        stem, path = composed_path(name.with_suffix("")), folder / name
        if stem in files:
            raise DataError(
                f"{printable(path)}: has the same name as {printable(files[stem])}; move one of "
                "them away"
            )
        files[stem] = path
    return files


def _of_a_class(path: Path) -> bool:
    """Return whether a file has VOC's column of 1, 0 and -1 on every line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError):
        return False  # reading it as a list raises the error
    return bool(lines) and all(_OF_A_CLASS.fullmatch(line) for line in lines)


def _names(
    root: Path, split: str, file: Path, images: Collection[PurePosixPath]
) -> list[PurePosixPath]:
    """Return the names in a list, and warn once of those that are matched by their endings."""
    lines = dict.fromkeys(str(line) for _, line in listed(root, split, str(file)))
    exact = {line: _exact_name(line, images) for line in lines}
    by_ending = {line: _by_ending(line, images) for line, n in exact.items() if n not in images}
    lines_of: dict[PurePosixPath, list[str]] = {}
    for line, name in {**exact, **by_ending}.items():
        lines_of.setdefault(name or exact[line], []).append(line)
    relocated = {
        line: name for line, name in by_ending.items() if name and len(lines_of[name]) == 1
    }
    if relocated:
        line, name = next(iter(relocated.items()))
        warnings.warn(
            f"{printable(root / file)}: {len(relocated):,} of {len(lines):,} names were matched by "
            f"their endings, such as {printable(line)} to {printable(name)}",
            AssumedWarning,
            stacklevel=5,
        )
    return list(dict.fromkeys({**exact, **relocated}.values()))


def _exact_name(line: str, images: Collection[PurePosixPath]) -> PurePosixPath:
    """Return the image name in a line, which may have a suffix or a number after it."""
    stems = [stem for name in _columns(line) for stem in _stems(PurePosixPath(name))]
    missing = _stems(PurePosixPath(*parts_of(_columns(line)[-1])))[-1]
    return next((stem for stem in stems if stem in images), missing)


def _by_ending(line: str, images: Collection[PurePosixPath]) -> PurePosixPath | None:
    """Return the image name with which a line ends, for paths from other machines, or None."""
    for parts in map(parts_of, _columns(line)):
        for at in range(len(parts)):
            for stem in _stems(PurePosixPath(*parts[at:])):
                if stem in images:
                    return stem
    return None


def _columns(line: str) -> Sequence[str]:
    """Return a line, and its first column if the second is VOC's indicator of a class."""
    first, *rest = line.rsplit(maxsplit=1)
    return [line, first] if rest and rest[0] in ("1", "0", "-1") else [line]


def _stems(name: PurePosixPath) -> list[PurePosixPath]:
    """Return a composed name, with and without its suffix."""
    return [composed_path(name), composed_path(without_suffix(name.as_posix()))]
