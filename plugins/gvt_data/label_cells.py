"""What the cells of a list of labels mean: labels, or yes and no for the class of a column."""

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
"""Labels that a message names."""


@dataclass(frozen=True)
class Table:
    """The lines of a list.

    Attributes:
        where: What messages call the file.
        rows: Of each line its number and its cells, without the heading.
        pictures: The column of the pictures' paths.
        heading: The cells of the heading, None if there is none.
    """

    where: str
    rows: Sequence[tuple[int, Sequence[str]]]
    pictures: int
    heading: Sequence[str] | None

    def cells(self, column: int) -> list[str]:
        """Return the cells of a column; where a line ends before it they are empty."""
        return [row[column] if column < len(row) else "" for _, row in self.rows]

    def name(self, column: int) -> str:
        """Return the name of a column, empty if it has none."""
        heading = self.heading or ()
        return heading[column] if column < len(heading) else ""

    def columns(self) -> list[int]:
        """Return the columns besides that of the pictures, but for empty ones and numbers."""
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
        counts = all(map(str.isdecimal, cells)) and len({*cells}) == len(cells)
        named = self.heading is not None and column < len(self.heading)
        return (
            counts
            and bool(_NAMES_INDEX.fullmatch(self.name(column)))
            and (named or column < self.pictures)
        )


def labels_in(table: Table) -> tuple[list[tuple[str, ...]], set[str]]:
    """Return the labels of each line, and all labels that there are.

    Raises:
        DataError: If it is not clear what a column means.
    """
    columns = table.columns()
    if _is_yes_and_no(table, columns):
        return _by_heading(table, columns)
    rows = []
    for number, row in table.rows:
        cells = [row[column] for column in columns if column < len(row)]
        rows.append(_listed(f"{table.where}: line {number}", cells))
    return rows, {label for row in rows for label in row}


def _is_yes_and_no(table: Table, columns: Sequence[int]) -> bool:
    """Whether each column is a class with yes or no in its cells; otherwise they have labels.

    Raises:
        DataError: If that is not clear.
    """
    if table.heading is None:
        full = all(len(row) > max(columns, default=0) for _, row in table.rows)
        cells = [cell for column in columns for cell in table.cells(column)]
        if len(columns) > 1 and full and all(map(_NUMBER.fullmatch, cells)):
            raise DataError(
                f"{table.where}: has numbers in {len(columns)} columns, and no heading that says "
                "what they are; give it a first line with the classes' names (image,cat,dog), or "
                "separate the numbers of classes by semicolons (1.jpg,3;17)"
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
                f"{table.where}: line {number}: {printable(cell)!r} in the column "
                f"{_called(table, column)}, where others have yes and no; write 1 and 0, or take "
                "the column out"
            )
    return True


def _called(table: Table, column: int) -> str:
    return repr(printable(table.name(column))) if table.name(column) else f"number {column + 1}"


def _unclear(table: Table, column: int) -> DataError:
    return DataError(
        f"{table.where}: it is not clear what the column {_called(table, column)} is; take it out, "
        "call columns of labels label, or write yes and no (1 and 0) in one column for each class"
    )


def _by_heading(table: Table, columns: Sequence[int]) -> tuple[list[tuple[str, ...]], set[str]]:
    names = [composed(table.name(column)) for column in columns]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{table.where}: two columns are called {printable(twice)}; join them")
    rows = [
        tuple(
            name
            for name, column in zip(names, columns, strict=True)
            if column < len(row) and row[column].casefold() in YES
        )
        for _, row in table.rows
    ]
    return rows, {*names}


def _listed(where: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Return the labels in cells, each once; one cell may have several."""
    labels = []
    for cell in cells:
        if cell[:1] in ("[", "{", "("):
            raise DataError(
                f"{where}: {printable(cell)} is written in a programming language; separate labels "
                "by semicolons (cat;dog)"
            )
        labels += [label for part in _BETWEEN_LABELS.split(cell) if (label := part.strip())]
    return tuple(dict.fromkeys(map(composed, labels)))


def check_words(where: str, labels: Collection[str]) -> None:
    """Check that no label is several ones, with something between them that names have, too.

    A label of words that are all labels is an error. Where only some are, or the labels of several
    words have fewer words than there are such labels, a warning says how they are taken.

    Args:
        where: What messages call the file.
        labels: All labels.

    Raises:
        DataError: If one is.
    """
    words = {label: [*filter(None, _BETWEEN_WORDS.split(label))] for label in sorted(labels)}
    several = {label: of_one for label, of_one in words.items() if len(of_one) > 1}
    for label, of_one in several.items():
        if {*of_one} <= {*labels}:
            raise DataError(
                f"{where}: {printable(label)!r} may be one label, and may be {len(of_one)}, since "
                f"{' and '.join(map(printable, of_one))} are labels, too; separate labels by "
                "semicolons, or name all classes in data.classes"
            )
    spaced = {label: of_one for label, of_one in several.items() if " " in label}
    different = {word for of_one in spaced.values() for word in of_one}
    if different & {*labels} or 1 < len(spaced) >= len(different):
        more = f" and {len(spaced) - _NAMED} more" if len(spaced) > _NAMED else ""
        warnings.warn(
            f"{where}: labels with blanks are one class each: "
            f"{printable(', '.join([*spaced][:_NAMED]))}{more}; several labels in one cell are "
            "separated by semicolons (cat;dog)",
            stacklevel=2,
        )
