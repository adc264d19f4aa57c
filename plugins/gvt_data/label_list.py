"""Label lists: CSV files with one line for each image."""

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

EXPECTED = "a line is the path of an image below data.root and its classes: photos/1.jpg,cat,dog"
_HEADINGS = ("file", "filename", "image", "path")
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class LabelledPictures:
    """Images with any number of labels each.

    Attributes:
        classes: Names of the classes over all splits, sorted.
        pictures: Image files of each split, sorted, each with its classes.
        others: Further files of each split, relative to the root.
    """

    classes: tuple[str, ...]
    pictures: Mapping[str, Sequence[tuple[Path, tuple[str, ...]]]]
    others: Mapping[str, Sequence[PurePosixPath]]


def read_label_list(
    root: Path, file: str, shares: Mapping[str, float], seed: int, *, by_name: bool = False
) -> LabelledPictures:
    """Return the images below a folder with their labels from a list, without opening them.

    A line has the path of an image and its labels. Labels have a cell each, or share a cell and are
    separated by `;` or `|`, or by `,` in quotation marks. A heading may name the columns:
    `image,label`. Alternatively the file is a table with a heading that names the classes,
    `image,cat,dog`, and a cell for each class: 1, yes, true or x; or 0, no, false or empty. Cells
    are separated by commas, semicolons or tabs. A column of row numbers is ignored if it has no
    name or is named `id` or `index`.

    Args:
        root: Root folder.
        file: CSV file in UTF-8 relative to the root. Images without labels also have a line.
        shares: Shares of the training images for `val` and `test`, for each that has no folder.
        seed: Seed of the choice, which also depends on the name of each image.
        by_name: Whether the classes are chosen by name, so that a label counts as one even if it
            looks like several.

    Raises:
        DataError: If a file or folder is missing, list and images do not match, or the meaning of
            a column is unclear.
    """
    if not root.is_dir():
        raise DataError(f"data.root: there is no folder {str(root)!r}")
    names, others = pictures_and_others(root)
    path = root / file
    images = {composed_path(name): name for name in names}
    table = _table(path, images)
    labels_by_row, classes = labels_in(table)
    if not by_name:
        check_words(table.where, classes)
    labels = _by_image(table, labels_by_row, images)
    for name in names:
        if name not in labels:
            raise DataError(
                f"{printable(root / name)}: has no line in {printable(file)}; add one, with or "
                "without classes, or move the image away"
            )
    if not labels:
        raise DataError(f"{printable(path)}: is empty; {EXPECTED}")
    by_split = divided(by_split_folder(root, names), shares, seed, lambda name: name)
    splits = split_folders(root, (name.parts[0] for name in names if len(name.parts) > 1))
    return LabelledPictures(
        tuple(sorted(classes)),
        {split: [(root / n, labels[n]) for n in names] for split, names in by_split.items()},
        beside([name for name in others if root / name != path], splits),
    )


def _by_image(
    table: Table,
    labels_by_row: Sequence[tuple[str, ...]],
    images: Mapping[PurePosixPath, PurePosixPath],
) -> dict[PurePosixPath, tuple[str, ...]]:
    """Return the labels of each image in a list."""
    by_image: dict[PurePosixPath, tuple[str, ...]] = {}
    for (number, row), labels in zip(table.rows, labels_by_row, strict=True):
        where = f"{table.where}: line {number}"
        cell = row[table.pictures] if table.pictures < len(row) else ""
        image = images.get(_path(cell, images))
        if image is None:
            raise DataError(f"{where}: there is no image {printable(cell)!r}; {EXPECTED}")
        if image in by_image:
            raise DataError(f"{where}: {printable(cell)} has an earlier line; merge the two")
        by_image[image] = labels
    return by_image


def _path(cell: str, images: Collection[PurePosixPath]) -> PurePosixPath:
    """Return the path in a cell, also with the backslashes of Windows."""
    path = composed_path(PurePosixPath(cell))
    return path if path in images else composed_path(PurePosixPath(cell.replace("\\", "/")))


def _table(path: Path, images: Collection[PurePosixPath]) -> Table:
    """Read a list, with the delimiter for which most lines name an image.

    Raises:
        DataError: If the file is missing or is not CSV in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as content:
            lines = content.readlines()
    except OSError as error:
        raise DataError(f"data.labels: {printable(path)}: {error.strerror}; {EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.labels: {printable(path)}: is not CSV in UTF-8: {error}") from error
    tables: list[tuple[int, Table]] = []
    problem: csv.Error | None = None
    for delimiter in _DELIMITERS:
        try:
            tables.append(_parsed(path, lines, delimiter, images))
        except csv.Error as error:
            problem = problem or error
    count, table = max(tables, key=lambda item: item[0], default=(0, None))
    if table is None or (problem is not None and not count):
        reason = f"is not CSV in UTF-8: {problem}"
        raise DataError(f"data.labels: {printable(path)}: {reason}") from problem
    return table


def _parsed(
    path: Path, lines: Sequence[str], delimiter: str, images: Collection[PurePosixPath]
) -> tuple[int, Table]:
    """Return the largest number of images named in one column, and the table.

    Raises:
        csv.Error: If quotation marks are not closed.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    rows = [(number, row) for number, row in numbered if any(row) and row[0][:4] != "sep="]
    counts = [0] * max((len(row) for _, row in rows), default=1)
    for _, row in rows:
        for at, cell in enumerate(row):
            counts[at] += bool(cell) and _path(cell, images) in images
    pictures = counts.index(max(counts))
    heading = None
    if rows and pictures < len(rows[0][1]):
        first = rows[0][1][pictures]
        is_path = _path(first, images) in images or PurePosixPath(first).suffix.lower() in SUFFIXES
        if first.lower() in _HEADINGS or not (is_path or "/" in first or "\\" in first):
            heading, rows = rows[0][1], rows[1:]
    return max(counts), Table(printable(path), rows, pictures, heading)
