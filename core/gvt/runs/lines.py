"""Append to a file of JSON lines; a line that was cut off does not damage the next one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gvt.files import open_to_append


def append_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append each mapping as a line of JSON, on a new line if the last one was cut off.

    A line is cut off if the process is killed, or the disk is full.

    Raises:
        OSError: If it cannot be written, or the path is a symbolic link. Its `filename` is the
            path.
    """
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    try:
        with open_to_append(path) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                content = content if file.read(1) == b"\n" else b"\n" + content
            while content:  # a disk may take a part, and then be full
                content = content[file.write(content) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
