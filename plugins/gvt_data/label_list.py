"""A list of pictures with their labels: a CSV file, a line for each picture."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES

from .label_cells import Table, check_words, labels_in
from .layout import beside
from .listing import composed_path, pictures_and_others
from .splits import by_split_folder, divided, split_folders

EXPECTED = "a line is a picture's path below data.root and its classes: photos/1.jpg,cat,dog"
_HEADINGS = ("file", "filename", "image", "path")
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with any number of labels each.

    Attributes:
        classes: All classes that are named, over all splits, sorted.
        pictures: Of each split its files, sorted, each with its classes.
        others: Of each split the files beside its pictures, relative to the root.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, tuple[str, ...]]]]
    others: Mapping[str, Sequence[PurePosixPath]]


def read_label_list(
    root: Path, file: str, shares: Mapping[str, float], seed: int, *, by_name: bool = False
) -> LabelledPictures:
    """Return the pictures below a folder with what a list says of them; none is opened.

    A line has the picture's path and its labels, each in a cell of its own or several in one,
    separated by `;` or `|`, or by `,` in quotation marks. A heading may name the columns:
    `image,label`. Or the file is a table with a heading that names the classes, `image,cat,dog`,
    and a cell for each of them: 1, yes, true or x; or 0, no, false or nothing. Cells are separated
    by commas, semicolons or tabs. A column of running numbers without a name, or called `id` or
    `index`, does not count.

    Args:
        root: The folder.
        file: The list, a CSV file in UTF-8 relative to the root. A picture without labels has a
            line all the same.
        shares: Of `val` and `test` the share of the training pictures that each takes, where it
            has no folder of its own.
        seed: What the choice depends on, together with each picture's own name.
        by_name: Whether classes are asked for by their names, so that a label is one even if it
            looks like several.

    Raises:
        DataError: If a file or folder is missing, list and pictures do not agree, or it is not
            clear what a column means.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}")
    names, others = pictures_and_others(root)
    path = root / file
    there = {composed_path(name): name for name in names}
    table = _table(path, there)
    of_rows, classes = labels_in(table)
    if not by_name:
        check_words(table.where, classes)
    labels = _by_picture(table, of_rows, there)
    for name in names:
        if name not in labels:
            raise DataError(
                f"{printable(root / name)}: has no line in {printable(file)}; give it one, which "
                "may be without classes, or move it away"
            )
    if not labels:
        raise DataError(f"{printable(path)}: is empty; {EXPECTED}")
    parts = divided(by_split_folder(root, names), shares, seed, lambda name: name)
    own = split_folders(root, (name.parts[0] for name in names if len(name.parts) > 1))
    return LabelledPictures(
        tuple(sorted(classes)),
        {split: [(root / name, labels[name]) for name in part] for split, part in parts.items()},
        beside([name for name in others if root / name != path], own),
    )


def _by_picture(
    table: Table, labels: Sequence[tuple[str, ...]], there: Mapping[PurePosixPath, PurePosixPath]
) -> dict[PurePosixPath, tuple[str, ...]]:
    """Return the labels of each picture that a list names."""
    by_picture: dict[PurePosixPath, tuple[str, ...]] = {}
    for (number, row), of_one in zip(table.rows, labels, strict=True):
        where = f"{table.where}: line {number}"
        cell = row[table.pictures] if table.pictures < len(row) else ""
        picture = there.get(_path(cell, there))
        if picture is None:
            raise DataError(f"{where}: there is no picture {printable(cell)!r}; {EXPECTED}")
        if picture in by_picture:
            raise DataError(f"{where}: {printable(cell)} has a line before; join the two")
        by_picture[picture] = of_one
    return by_picture


def _path(cell: str, there: Collection[PurePosixPath]) -> PurePosixPath:
    """Return the path that a cell is; programs of Windows write backslashes."""
    path = composed_path(PurePosixPath(cell))
    return path if path in there else composed_path(PurePosixPath(cell.replace("\\", "/")))


def _table(path: Path, there: Collection[PurePosixPath]) -> Table:
    """Return the lines of a list, cut where most of them name a picture.

    Raises:
        DataError: If there is no such file, or it is not CSV in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as content:
            lines = content.readlines()
    except OSError as error:
        raise DataError(f"data.labels: {printable(path)}: {error.strerror}; {EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.labels: {printable(path)}: is no CSV in UTF-8: {error}") from error
    cut: list[tuple[int, Table]] = []
    problem: csv.Error | None = None
    for delimiter in _DELIMITERS:
        try:
            cut.append(_cut(path, lines, delimiter, there))
        except csv.Error as error:
            problem = problem or error
    count, table = max(cut, key=lambda one: one[0], default=(0, None))
    if table is None or (problem is not None and not count):
        reason = f"is no CSV in UTF-8: {problem}"
        raise DataError(f"data.labels: {printable(path)}: {reason}") from problem
    return table


def _cut(
    path: Path, lines: Sequence[str], delimiter: str, there: Collection[PurePosixPath]
) -> tuple[int, Table]:
    """Return how many lines name a picture in one column, and the table that they make.

    Raises:
        csv.Error: If quotation marks are not closed.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    rows = [(number, row) for number, row in numbered if any(row) and row[0][:4] != "sep="]
    counts = [0] * max((len(row) for _, row in rows), default=1)
    for _, row in rows:
        for at, cell in enumerate(row):
            counts[at] += bool(cell) and _path(cell, there) in there
    pictures = counts.index(max(counts))
    heading = None
    if rows and pictures < len(rows[0][1]):
        first = rows[0][1][pictures]
        is_path = _path(first, there) in there or PurePosixPath(first).suffix.lower() in SUFFIXES
        if first.lower() in _HEADINGS or not (is_path or "/" in first or "\\" in first):
            heading, rows = rows[0][1], rows[1:]
    return max(counts), Table(printable(path), rows, pictures, heading)
