"""A growing JSON list: the file is valid JSON after each call of `add`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from gvt.files import create

_BEGIN, _END = b"[\n", b"\n]\n"


def is_entry_file(path: Path) -> bool:
    """Return whether a file begins as an `EntryFile` does, unlike JSON from other programs."""
    with path.open("rb") as file:
        return file.read(len(_BEGIN) + 1) in (_BEGIN + b"{", _BEGIN + _END[:1])


class EntryFile:
    """Appends entries to a list; one system call writes them with the end of the list.

    Args:
        path: Path of the file, which is created or replaced by the first call of `add`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._length = 0
        self._is_empty = True

    def add(self, entries: Sequence[Any]) -> None:
        """Write further entries, one per line.

        Raises:
            OSError: If they cannot be written; the file then has the earlier entries.
        """
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = create(self._path)
            self._write(_BEGIN)
        if entries:
            lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in entries)
            self._write((b"" if self._is_empty else b",\n") + lines.encode("ascii"))
            self._is_empty = False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, content: bytes) -> None:
        """Overwrite the end of the list with content and a new end."""
        assert self._file is not None
        self._file.seek(self._length)
        whole = content + _END
        try:
            written = self._file.write(whole)
            if written < len(whole):  # the rest does not fit; writing it raises the error
                self._file.write(whole[written:])
        except OSError as error:
            self._file.seek(self._length)
            self._file.write(_END)
            self._file.truncate()
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._length += len(content)
