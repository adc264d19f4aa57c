"""The cells of a label list: labels, or yes and no for the class of a column."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gvt import DataError
from gvt.printable import printable

from .listing import composed

YES = frozenset({"1", "1.0", "yes", "y", "true", "t", "x"})
NO = frozenset({"0", "0.0", "no", "n", "false", "f", "-", ""})

_NAMES_LABELS = re.compile(
    r"(label|class|category|categories|tag|target|species)(s|es)?([\s_-]*(names?|ids?|\d+))?",
    re.IGNORECASE,
)
_NAMES_INDEX = re.compile(r"(unnamed: 0|index|idx|id|nr|no|#)?", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan", re.IGNORECASE)
_BETWEEN_LABELS = re.compile("[;|,]")
_BETWEEN_WORDS = re.compile(r"[\s/+&_-]+")

_NAMED = 3
"""Labels listed in a message."""


@dataclass(frozen=True)
class Table:
    """The lines of a label list.

    Attributes:
        where: Name of the file in messages.
        rows: Line number and cells of each line, without the heading.
        pictures: Index of the column of image paths.
        heading: Cells of the heading, None if there is no heading.
    """

    where: str
    rows: Sequence[tuple[int, Sequence[str]]]
    pictures: int
    heading: Sequence[str] | None

    def cells(self, column: int) -> list[str]:
        """Return the cells of a column; cells after the end of a line are empty."""
        return [row[column] if column < len(row) else "" for _, row in self.rows]

    def name(self, column: int) -> str:
        """Return the name of a column, empty if it has none."""
        heading = self.heading or ()
        return heading[column] if column < len(heading) else ""

    def columns(self) -> list[int]:
        """Return the columns other than image paths, empty columns and row numbers."""
        width = max([len(row) for _, row in self.rows] + [len(self.heading or ())], default=0)
        return [
            column
            for column in range(width)
            if column != self.pictures
            and (self.name(column) or any(self.cells(column)))
            and not self._is_index(column)
        ]

    def _is_index(self, column: int) -> bool:
        cells = self.cells(column)
        are_unique_numbers = all(map(str.isdecimal, cells)) and len({*cells}) == len(cells)
        has_heading = self.heading is not None and column < len(self.heading)
        return (
            are_unique_numbers
            and bool(_NAMES_INDEX.fullmatch(self.name(column)))
            and (has_heading or column < self.pictures)
        )


def labels_in(table: Table) -> tuple[list[tuple[str, ...]], set[str]]:
    """Return the labels of each line, and the set of all labels.

    Raises:
        DataError: If the meaning of a column is unclear.
    """
    columns = table.columns()
    if _is_yes_and_no(table, columns):
        return _by_heading(table, columns)
    rows = []
    for number, row in table.rows:
        cells = [row[column] for column in columns if column < len(row)]
        rows.append(_labels_in_cells(f"{table.where}: line {number}", cells))
    return rows, {label for row in rows for label in row}


def _is_yes_and_no(table: Table, columns: Sequence[int]) -> bool:
    """Return whether each column is a class with yes or no in its cells, and not labels.

    Raises:
        DataError: If this is unclear.
    """
    if table.heading is None:
        full = all(len(row) > max(columns, default=0) for _, row in table.rows)
        cells = [cell for column in columns for cell in table.cells(column)]
        if len(columns) > 1 and full and all(map(_NUMBER.fullmatch, cells)):
            raise DataError(
                f"{table.where}: has numbers in {len(columns)} columns but no heading; add a first "
                "line with the names of the classes (image,cat,dog), or separate the numbers of "
                "classes by semicolons (1.jpg,3;17)"
            )
        return False
    labels = [c for c in columns if _NAMES_LABELS.fullmatch(table.name(c))]
    named = [c for c in columns if table.name(c) and c not in labels]
    if labels:
        if named:
            raise _unclear(table, named[0])
        return False
    flags = [c for c in named if {*map(str.casefold, table.cells(c))} <= YES | NO]
    if not flags or not any(any(table.cells(c)) for c in flags):
        if len(named) > 1:
            raise _unclear(table, named[0])
        return False
    for column in columns:
        if column not in flags:
            number, cell = next(
                (number, cell)
                for (number, _), cell in zip(table.rows, table.cells(column), strict=True)
                if cell.casefold() not in YES | NO or not table.name(column)
            )
            raise DataError(
                f"{table.where}: line {number}: {printable(cell)!r} in column "
                f"{_shown_name(table, column)}, but other columns have yes and no; write 1 and 0, "
                "or remove the column"
            )
    return True


def _shown_name(table: Table, column: int) -> str:
    return repr(printable(table.name(column))) if table.name(column) else f"number {column + 1}"


def _unclear(table: Table, column: int) -> DataError:
    return DataError(
        f"{table.where}: the meaning of column {_shown_name(table, column)} is unclear; remove it, "
        "name columns of labels 'label', or write yes and no (1 and 0) in a column for each class"
    )


def _by_heading(table: Table, columns: Sequence[int]) -> tuple[list[tuple[str, ...]], set[str]]:
    names = [composed(table.name(column)) for column in columns]
    if len({*names}) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{table.where}: two columns are named {printable(repeated)}; merge them")
    rows = [
        tuple(
            name
            for name, column in zip(names, columns, strict=True)
            if column < len(row) and row[column].casefold() in YES
        )
        for _, row in table.rows
    ]
    return rows, {*names}


def _labels_in_cells(where: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct labels in cells, each of which may have several."""
    labels = []
    for cell in cells:
        if cell[:1] in ("[", "{", "("):
            raise DataError(
                f"{where}: {printable(cell)} has brackets, as in a programming language; separate "
                "labels by semicolons (cat;dog)"
            )
        labels += [label for part in _BETWEEN_LABELS.split(cell) if (label := part.strip())]
    return tuple(dict.fromkeys(map(composed, labels)))


def check_words(where: str, labels: Collection[str]) -> None:
    """Check that no label may be several labels, separated by a character that names also have.

    A label that consists of other labels is an error. There is a warning if only some words of a
    label are labels, or if the labels of several words do not have more words than there are such
    labels.

    Args:
        where: Name of the file in messages.
        labels: All labels.

    Raises:
        DataError: If a label consists of other labels.
    """
    words_of = {label: [*filter(None, _BETWEEN_WORDS.split(label))] for label in sorted(labels)}
    compound = {label: words for label, words in words_of.items() if len(words) > 1}
    for label, words in compound.items():
        if {*words} <= {*labels}:
            raise DataError(
                f"{where}: {printable(label)!r} may be one label or {len(words)}, since "
                f"{' and '.join(map(printable, words))} are also labels; separate labels by "
                "semicolons, or name all classes in data.classes"
            )
    spaced = {label: words for label, words in compound.items() if " " in label}
    distinct = {word for words in spaced.values() for word in words}
    if distinct & {*labels} or 1 < len(spaced) >= len(distinct):
        more = f" and {len(spaced) - _NAMED} more" if len(spaced) > _NAMED else ""
        warnings.warn(
            f"{where}: labels with spaces are one class each: "
            f"{printable(', '.join([*spaced][:_NAMED]))}{more}; separate several labels in one "
            "cell by semicolons (cat;dog)",
            stacklevel=2,
        )
