"""Write files whole, and open only ordinary files for reading.

A file that is written is at every moment absent, the old one, or the new one. No symbolic link at
its place is followed, since an unpacked folder may hold links that lead anywhere: a link is
replaced or refused, and its target stays as it was. A pipe or a device is not opened for reading,
since it may never end.
"""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader, FileIO
from pathlib import Path

__all__ = ["attempting", "check_regular", "create", "make_folder_inside", "replacing"]

UNFINISHED = ".unfinished."
"""What the name of a file begins with until it is complete."""

# Windows has neither links without special rights nor O_NOFOLLOW, but translates line ends.
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_WRITING = _FLAGS | getattr(os, "O_NOFOLLOW", 0)
_READING = _FLAGS | getattr(os, "O_NONBLOCK", 0)

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """A path leads to a pipe, a socket or a device. The error has no `errno`."""


class NotSyncedError(OSError):
    """A file is in its place, and the folder could not be synced to the disk."""


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """Open a temporary file beside, which takes the path's place once it is on disk.

    The file is open for reading and writing, at its beginning. A link at `path` is replaced, not
    followed.

    Raises:
        OSError: If it cannot be written; its `filename` is the path, and the old file is
            unchanged.
        NotSyncedError: If the new file is in place and a power failure may still undo that.
    """
    # One name for each path, so that a kill leaves at most one.
    temporary = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        try:
            with BufferedRandom(create(temporary)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # What is wrong with a file that is read meanwhile, and what has no number, speaks for
        # itself; a full disk names no file, and the temporary one nobody knows.
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise NotSyncedError(error.errno, error.strerror, str(path)) from error


def create(path: Path) -> FileIO:
    """Create a file and open it, unbuffered; what had its name is removed first.

    Raises:
        OSError: If it cannot be created, or somebody creates it at the same moment.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _WRITING, 0o666)
    return FileIO(descriptor, "w+")


def open_to_append(path: Path) -> FileIO:
    """Open a file for reading, and writing behind its end, unbuffered; create it if need be.

    Raises:
        OSError: If it cannot be opened, or is a symbolic link.
    """
    if path.is_symlink():  # where O_NOFOLLOW is missing, and for a clearer message
        raise _link(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _WRITING
    return FileIO(os.open(path, flags, 0o666), "a+")


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, and sync each to the disk.

    Raises:
        OSError: If it cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def make_folder_inside(top: Path, path: Path) -> None:
    """Make a folder inside another one, which may be a link itself; no folder between may be.

    Raises:
        OSError: If it cannot be made, or would be reached through a symbolic link.
    """
    make_folder(top)
    for part in reversed([path, *path.parents][: len(path.relative_to(top).parts)]):
        if part.is_symlink():
            raise _link(part)
        make_folder(part)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder and below it.

    Links are removed and not followed. No other process may be writing into the folder.

    Raises:
        OSError: If a file cannot be removed.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            if name.startswith(UNFINISHED):
                Path(place, name).unlink(missing_ok=True)


@contextmanager
def attempting(path: Path) -> Iterator[None]:
    """Warn of an OSError instead of raising it: the file is worth less than what it is about."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{path}: not written: {error.strerror or error}", stacklevel=3)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to the disk.

    Raises:
        OSError: If that fails.
    """
    if os.name == "posix":  # elsewhere a folder cannot be opened, and renaming is durable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: Path) -> BufferedReader:
    """Open an ordinary file for reading; a named pipe, a socket or a device is never waited for.

    Raises:
        NotAFileError: If it is not one.
        OSError: If it cannot be opened, as for want of rights.
    """
    check_regular(path)  # first, since a device may act on being opened
    descriptor = os.open(path, os.O_RDONLY | _READING)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return BufferedReader(FileIO(descriptor, "r"))


def check_regular(path: Path) -> None:
    """Check that a path leads to an ordinary file.

    Raises:
        NotAFileError: If it leads to a named pipe, a socket or a device.
        OSError: If there is none, or it is a folder.
    """
    _check_mode(path.stat().st_mode, path)


def _check_mode(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotAFileError(f"it is {kind}, not an ordinary file")


def _link(path: Path) -> OSError:
    return OSError(errno.ELOOP, "is a symbolic link, which is not written through", str(path))
