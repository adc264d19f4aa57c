"""A list of pictures with their labels: a CSV file, a line for each picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from .listing import pictures_below
from .splits import by_split_folder, divided

EXPECTED = "a line is a picture's path below data.root and its classes: photos/1.jpg,cat,dog"
_HEADINGS = ("file", "filename", "image", "path")


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with any number of labels each.

    Attributes:
        classes: All classes that are named, over all splits, sorted.
        pictures: Of each split its files, sorted, each with its classes.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, tuple[str, ...]]]]


def read_label_list(
    root: Path, file: str, shares: Mapping[str, float], seed: int
) -> LabelledPictures:
    """Return the pictures below a folder with what a list says of them; none is opened.

    Args:
        root: The folder.
        file: The list, a CSV file in UTF-8 relative to the root. A first line that begins with
            `file` is a heading. A picture without labels has a line all the same.
        shares: Of `val` and `test` the share of the training pictures that each takes, where it
            has no folder of its own.
        seed: What the choice depends on, together with each picture's own name.

    Raises:
        DataError: If a file or folder is missing, or list and pictures do not agree.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}")
    found = pictures_below(root)
    labels = _read(root / file, set(found))
    for name in found:
        if name not in labels:
            raise DataError(
                f"{printable(root / name)}: has no line in {printable(file)}; give it one, which "
                "may be without classes, or move it away"
            )
    if not labels:
        raise DataError(f"{printable(root / file)}: is empty; {EXPECTED}")
    parts = divided(by_split_folder(root, found), shares, seed, lambda name: name)
    return LabelledPictures(
        tuple(sorted({label for of_one in labels.values() for label in of_one})),
        {split: [(root / name, labels[name]) for name in names] for split, names in parts.items()},
    )


def _read(path: Path, there: set[PurePosixPath]) -> dict[PurePosixPath, tuple[str, ...]]:
    """Return the classes of each picture that a list names."""
    labels: dict[PurePosixPath, tuple[str, ...]] = {}
    for number, (name, *rest) in _lines(path):
        where = f"{printable(path)}: line {number}"
        picture, classes = PurePosixPath(name), [cell for cell in rest if cell]
        if picture not in there:
            raise DataError(f"{where}: there is no picture {printable(name)!r}; {EXPECTED}")
        if picture in labels:
            raise DataError(f"{where}: {printable(name)} has a line before; join the two")
        labels[picture] = tuple(dict.fromkeys(classes))
    return labels


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the cells of each line, with its number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as content:
            reader = csv.reader(content, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except OSError as error:
        raise DataError(f"data.labels: {printable(path)}: {error.strerror}; {EXPECTED}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"data.labels: {printable(path)}: is no CSV in UTF-8: {error}") from error
    rows = [(number, row) for number, row in rows if any(row)]
    return rows[1:] if rows and rows[0][1][0].lower() in _HEADINGS else rows
