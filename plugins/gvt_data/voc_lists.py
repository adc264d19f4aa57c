"""Pascal VOC's lists of splits: text files with the name of a picture on each line."""

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

# The challenge has a list for each class and split, which says of which pictures it is.
_OF_A_CLASS = re.compile(r".+\s(-1|0|1)")


@dataclass(frozen=True)
class Lists:
    """The lists of a data set.

    Attributes:
        root: The data set's folder.
        by_split: The file of each split that has one, relative to the root.
        assumed: Whether the training split's list is called otherwise than such a list, so that
            it may have the pictures of other lists.
    """

    root: Path
    by_split: Mapping[str, Path]
    assumed: bool = False

    def names(self, known: Collection[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
        """Return the names of the pictures in each list, each once, without suffix and composed.

        A line that has a path of another machine is the known name that it ends with. Names in
        other lists are left out of a training list that is assumed.

        Args:
            known: The names of the pictures that there are.

        Raises:
            DataError: If a list cannot be read.
        """
        names = {split: _names(self.root, split, file, known) for split, file in self._sorted()}
        if self.assumed:
            others = {name for split in ("val", "test") for name in names.get(split, ())}
            names["train"] = [name for name in names["train"] if name not in others]
        return names

    def missing(self, split: str) -> DataError:
        """Return the error of a split that has no pictures."""
        if split in self.by_split:
            return DataError(f"{printable(self.root / self.by_split[split])}: is empty")
        place = next(iter(self.by_split.values())).parent
        others = ", ".join(printable(file.name) for file in self.by_split.values())
        return DataError(
            f"data.root: {printable(self.root / place)} has no list {split}.txt, only {others}; "
            f"write one, or give data.{split} a share of the training pictures"
        )

    def _sorted(self) -> list[tuple[str, Path]]:
        return [(split, self.by_split[split]) for split in SPLITS if split in self.by_split]


def split_lists(root: Path, place: Path, split: str, train: str) -> Lists | None:
    """Return the lists of the splits; None where there are no lists.

    Lists are found by the names that splits may have, in any case. The training split's is the one
    that `train` names. Where none is called like `train`, it is trainval or the only other list,
    and a warning says so. The challenge's lists of one class are never taken for a split's.

    Args:
        root: The data set's folder.
        place: The folder of the lists below it.
        split: The split that is wanted.
        train: The name of the training split's list.

    Raises:
        DataError: If two lists are called like one split, the list that `train` names is not there,
            or it is not clear which one to train on.
    """
    files = {
        composed(path.stem): path.relative_to(root)
        for path in sorted((root / place).glob("*.txt"))
        if not path.name.startswith(".")
    }
    if not any(split_of(name) or not _of_a_class(root / file) for name, file in files.items()):
        return None
    by_split: dict[str, Path] = {}
    for wanted in SPLITS:
        name = train if wanted == "train" else wanted
        same = [other for other in files if split_of(other) == wanted]
        same = [name] if name in files else same if name == wanted else []
        if len(same) > 1:
            both = " and ".join(printable(files[other]) for other in same)
            raise DataError(f"data.root: {both} are both the split {wanted}; remove one of them")
        if same:
            by_split[wanted] = files[same[0]]
    if "train" in by_split:
        return Lists(root, by_split)
    others = {
        name: file
        for name, file in files.items()
        if split_of(name) is None and not _of_a_class(root / file)
    }
    assumed = [name for name in others if name.casefold() == "trainval"] or [*others]
    if train == "train" and len(assumed) == 1:
        file = others[assumed[0]]
        warnings.warn(
            f"{printable(root / place)}: has no list train.txt; {printable(file.name)} is trained "
            "on, without the names in other lists; data.train=NAME chooses another",
            AssumedWarning,
            stacklevel=4,
        )
        return Lists(root, {"train": file, **by_split}, assumed=True)
    if train == "train" and split in by_split:
        return Lists(root, by_split)
    there = ", ".join(printable(file.name) for file in (others or files).values())
    raise DataError(
        f"data.train: {printable(root / place)} has no list {printable(train)}.txt; it has "
        f"{there}; say which one to train on, data.train=NAME"
    )


def files_by_name(folder: Path, suffixes: Collection[str]) -> dict[PurePosixPath, Path]:
    """Return the files of some suffixes below a folder by their names without it, composed.

    Raises:
        DataError: If two files have one name.
    """
    files: dict[PurePosixPath, Path] = {}
    for name in files_below(folder, suffixes) if folder.is_dir() else ():
        stem, path = composed_path(name.with_suffix("")), folder / name
        if stem in files:
            raise DataError(
                f"{printable(path)}: {printable(files[stem])} goes by the same name; move one of "
                "them away"
            )
        files[stem] = path
    return files


def _of_a_class(path: Path) -> bool:
    """Whether a file has VOC's column of 1, 0 and -1 on every line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError):
        return False  # reading it as a list says why
    return bool(lines) and all(_OF_A_CLASS.fullmatch(line) for line in lines)


def _names(
    root: Path, split: str, file: Path, known: Collection[PurePosixPath]
) -> list[PurePosixPath]:
    """Return the names in a list, and warn once of those that are found by their endings."""
    lines = dict.fromkeys(str(line) for _, line in listed(root, split, str(file)))
    written = {line: _as_written(line, known) for line in lines}
    ending = {line: _by_end(line, known) for line, name in written.items() if name not in known}
    owners: dict[PurePosixPath, list[str]] = {}
    for line, name in {**written, **ending}.items():
        owners.setdefault(name or written[line], []).append(line)
    moved = {line: name for line, name in ending.items() if name and len(owners[name]) == 1}
    if moved:
        line, name = next(iter(moved.items()))
        warnings.warn(
            f"{printable(root / file)}: {len(moved):,} of {len(lines):,} names were matched by "
            f"their endings, such as {printable(line)} to {printable(name)}",
            AssumedWarning,
            stacklevel=5,
        )
    return list(dict.fromkeys({**written, **moved}.values()))


def _as_written(line: str, known: Collection[PurePosixPath]) -> PurePosixPath:
    """Return what a line calls a picture: its name, perhaps with a suffix or a number behind it."""
    stems = [stem for name in _columns(line) for stem in _stems(PurePosixPath(name))]
    missing = _stems(PurePosixPath(*parts_of(_columns(line)[-1])))[-1]
    return next((stem for stem in stems if stem in known), missing)


def _by_end(line: str, known: Collection[PurePosixPath]) -> PurePosixPath | None:
    """Return the known name with which a line ends, as paths of other machines do; None if none."""
    for parts in map(parts_of, _columns(line)):
        for at in range(len(parts)):
            for stem in _stems(PurePosixPath(*parts[at:])):
                if stem in known:
                    return stem
    return None


def _columns(line: str) -> Sequence[str]:
    """Return a line, and without its second column if it has VOC's of whether a class occurs."""
    first, *others = line.rsplit(maxsplit=1)
    return [line, first] if others and others[0] in ("1", "0", "-1") else [line]


def _stems(name: PurePosixPath) -> list[PurePosixPath]:
    return [composed_path(name), composed_path(without_suffix(name.as_posix()))]
