"""A JSON list that grows: at any time the file is a complete list of all that was added."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from gvt.files import create

_BEGIN, _END = b"[\n", b"\n]\n"


def is_entry_file(path: Path) -> bool:
    """Whether a file begins as an `EntryFile` does, and not as other programs write JSON."""
    with path.open("rb") as file:
        return file.read(len(_BEGIN) + 1) in (_BEGIN + b"{", _BEGIN + _END[:1])


class EntryFile:
    """Appends entries to a list; one system call writes them with the list's end.

    Args:
        path: The file; made, or replaced, with the first call of `add`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._length = 0
        self._is_empty = True

    def add(self, entries: Sequence[Any]) -> None:
        """Write further entries, one a line.

        Raises:
            OSError: If they cannot be written; the file then holds those before.
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
        """Write content over the list's end, and the end after it."""
        assert self._file is not None
        self._file.seek(self._length)
        whole = content + _END
        try:
            written = self._file.write(whole)
            if written < len(whole):  # the rest does not fit, and writing it raises why
                self._file.write(whole[written:])
        except OSError as error:
            self._file.seek(self._length)
            self._file.write(_END)
            self._file.truncate()
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._length += len(content)
