"""Writing files: each is at every moment absent, the old one, or the new one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_UMASK = os.umask(0)
os.umask(_UMASK)  # it can only be read by setting it


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write to a temporary file beside, which takes the path's place once it is on disk.

    Raises:
        OSError: If it cannot be written; its `filename` is the path, and the old file stands as
            it was.
    """
    # One name for each path, so that a kill leaves at most one; the suffix stays, for PIL.
    temporary = path.with_name(f".unfinished.{path.name}")
    try:
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_UMASK)  # safetensors lets nobody else read what it writes
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # What is wrong with a file that is read meanwhile, and what has no number, speaks for
        # itself; a full disk names no file, and the temporary one nobody knows.
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def attempting(path: Path) -> Iterator[None]:
    """Warn of an OSError instead of raising it: the file is worth less than what it is about."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{path}: not written: {error.strerror or error}", stacklevel=3)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened, and renaming is durable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
