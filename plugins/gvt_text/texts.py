"""Labelled texts in files: class folders, or tables as CSV or JSON lines."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from gvt import DataError, derive
from gvt.printable import printable
from gvt.vision.pictures import files_in

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Names of the files or folders of each split, in lower case."""

LAYOUT = (
    "put the texts of each class into a folder of their own as .txt files, or give a table, "
    ".csv or .jsonl, with a column for the text and one for its class; train, val and test may be "
    "folders of classes, or tables"
)


@dataclass(frozen=True)
class Text:
    """A labelled text.

    Attributes:
        name: File or line that it comes from, relative to the root.
        text: The text.
        label: Name of its class.
    """

    name: str
    text: str
    label: str


def read_splits(
    root: Path, columns: tuple[str, str], classes: Sequence[str] | None = None
) -> dict[str, list[Text]]:
    """Return the texts of each split below a root; all are `train` if there are no splits.

    Args:
        root: Folder, or a table.
        columns: Columns of the text and of its class in tables.
        classes: Classes to keep; all by default.

    Raises:
        DataError: If there are no texts, the layout is ambiguous, or a file cannot be read.
    """
    if root.is_file():
        by_split = {"train": _table(root, root.name, columns)}
    elif tables := _of_splits(root, [path for path in root.iterdir() if _is_table(path)]):
        by_split = {split: _table(path, path.name, columns) for split, path in tables.items()}
    else:
        by_split = _folders(root, classes)
    if classes is not None:
        by_split = {s: [t for t in texts if t.label in classes] for s, texts in by_split.items()}
    return by_split


def divided(
    by_split: Mapping[str, Sequence[Text]], shares: Mapping[str, float], seed: int
) -> dict[str, list[Text]]:
    """Return the texts of every split; a split of its own has its share of `train`.

    Which texts are held out depends on the seed and on their names, not on their order.

    Raises:
        ValueError: If the shares leave nothing for training.
    """
    if min(shares.values()) < 0 or sum(shares.values()) >= 1:
        raise ValueError(f"shares {dict(shares)}: give at least 0, and together less than 1")
    result = {split: list(by_split.get(split, ())) for split in SPLITS}
    order = sorted(result["train"], key=lambda text: derive(seed, "split", text.name))
    count = len(order)
    for split, share in shares.items():
        if share and split not in by_split and count > 1:
            size = max(1, round(share * count))
            names = {text.name for text in order[:size]}
            order = order[size:]
            result[split] = [text for text in result["train"] if text.name in names]
            result["train"] = [text for text in result["train"] if text.name not in names]
    return result


def read_text(path: Path) -> str:
    """Return the content of a text file in UTF-8, gzipped or not.

    Raises:
        DataError: If it cannot be read, or is not UTF-8.
    """
    try:
        content = path.read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not text in UTF-8; convert it") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{printable(path)}: cannot be read: {reason}") from error


def _of_splits(root: Path, paths: Sequence[Path]) -> dict[str, Path]:
    """Return the file or folder of each split, those of other names left out."""
    by_split: dict[str, Path] = {}
    for path in sorted(paths):
        name = path.name.partition(".")[0].lower()
        for split in (split for split, names in SPLITS.items() if name in names):
            if split in by_split:
                raise DataError(
                    f"data.root: {printable(by_split[split].name)} and {printable(path.name)} in "
                    f"{str(root)!r} are both the split {split}; move one away"
                )
            by_split[split] = path
    return by_split


def _folders(root: Path, classes: Sequence[str] | None) -> dict[str, list[Text]]:
    """Return the texts in class folders, which may be in folders of splits."""
    splits = _of_splits(root, [path for path in root.iterdir() if path.is_dir()])
    by_split = {}
    for split, folder in (splits or {"train": root}).items():
        names = [name for name in files_in(folder) if name.suffix.lower() == ".txt"]
        if classes is None and (beside := [name for name in names if len(name.parts) == 1]):
            raise DataError(f"{printable(folder / beside[0])}: is not in a class folder; {LAYOUT}")
        names = [n for n in names if len(n.parts) > 1 and (not classes or n.parts[0] in classes)]
        by_split[split] = [_text(root, folder / name, name) for name in names]
    return by_split


def _text(root: Path, path: Path, name: PurePosixPath) -> Text:
    return Text(path.relative_to(root).as_posix(), read_text(path), name.parts[0])


def _is_table(path: Path) -> bool:
    return path.is_file() and _rows_of(path) is not None


def _table(path: Path, name: str, columns: tuple[str, str]) -> list[Text]:
    """Return the texts of a table.

    Raises:
        DataError: If it has another suffix, or a line lacks the text or the class.
    """
    rows = _rows_of(path)
    if rows is None:
        raise DataError(f"{printable(path)}: is neither .csv nor .jsonl, gzipped or not; {LAYOUT}")
    texts = []
    for line, row in rows(path, read_text(path)):
        values = [row.get(column) for column in columns]
        for column, value in zip(columns, values, strict=True):
            if value is None or value == "":
                present = printable(", ".join(str(key) for key in row))
                raise DataError(
                    f"{printable(path)}: line {line}: has no {printable(column)!r}, but {present}; "
                    "name the columns with data.text=... data.label=..."
                )
        texts.append(Text(f"{name}:{line}", str(values[0]), str(values[1])))
    return texts


_Rows = Callable[[Path, str], Iterator[tuple[int, Mapping[str, Any]]]]


def _rows_of(path: Path) -> _Rows | None:
    """Return the function that reads a table of this suffix; None for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return {".csv": _csv_rows, ".jsonl": _json_rows}.get(suffixes[-1]) if suffixes else None


def _csv_rows(path: Path, content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(1 << 30)  # the limit for the text of one cell is 128 KB by default
    rows = csv.DictReader(StringIO(content, newline=""), strict=True)
    try:
        for row in rows:
            yield rows.line_num, {key: cell for key, cell in row.items() if key is not None}
    except csv.Error as error:
        raise DataError(f"{printable(path)}: line {rows.line_num}: is not CSV: {error}") from error


def _json_rows(path: Path, content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(content.split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise DataError(f"{printable(path)}: line {line}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{printable(path)}: line {line}: is not a JSON object with a text")
        yield line, row
