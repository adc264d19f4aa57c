"""Opening files for reading: ordinary ones only, since a pipe or a device may never end."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path

_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotAFileError(OSError):
    """What has the name of a file is a pipe, a socket or a device. It has no `errno`."""


def open_regular(path: Path) -> BufferedReader:
    """Open an ordinary file for reading; a named pipe, a socket or a device is never waited for.

    Raises:
        NotAFileError: If it is none.
        OSError: If it cannot be opened, as for want of rights.
    """
    check_regular(path)  # first, since a device may act on being opened
    descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        _check(os.fstat(descriptor).st_mode, path)
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
    _check(path.stat().st_mode, path)


def _check(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise NotAFileError(f"it is {kind}, not an ordinary file")
