"""Files that are at every moment absent, the old one, or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UMASK = os.umask(0)
os.umask(_UMASK)  # it can only be read by setting it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to a temporary file beside, which takes the path's place once it is on disk.

    Raises:
        OSError: If it cannot be written; the old file then stands as it was.
    """
    # One name for each path, so that a kill leaves at most one; the suffix stays, for PIL.
    temporary = path.with_name(f".unfinished.{path.name}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_UMASK)  # safetensors lets nobody else read what it writes
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened, and renaming is durable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
