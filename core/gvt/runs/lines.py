"""Appending to a file of JSON lines, so that no line that was cut off spoils the next one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_LINK | getattr(os, "O_BINARY", 0)


def append_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append each mapping as a line of JSON, beginning a new line after one that was cut off.

    A kill or a full disk cuts off the line that is being written.

    Raises:
        OSError: If it cannot be written, or the path is a symbolic link; its `filename` is the
            path.
    """
    text = "".join(json.dumps(line) + "\n" for line in lines)
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else "\n" + text
            _write_all(file.fileno(), text.encode())
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "it is a symbolic link, and nothing is written through one"
            raise OSError(error.errno, reason, str(path)) from error
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_all(descriptor: int, content: bytes) -> None:
    while content:  # a disk that is getting full takes a part, and then fails
        content = content[os.write(descriptor, content) :]
