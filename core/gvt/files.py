"""Write files atomically, and open only regular files for reading.

A file that is written is at every moment absent, the old one, or the new one. Symbolic links at
its path are not followed, since an unpacked folder may contain links to any place: a link is
replaced or refused, and its target is unchanged. Pipes and devices are not opened for reading,
since they may block forever. A line that was cut off does not damage the next one.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader, FileIO
from pathlib import Path
from typing import Any

__all__ = ["attempting", "check_regular", "create", "make_folder_inside", "replacing", "save_files"]

UNFINISHED = ".unfinished."
"""Prefix of the name of a file that is not complete yet."""

# Windows lacks O_NOFOLLOW, and links need special permissions there, but it translates line ends.
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
    """A path is a pipe, a socket or a device. The error has no `errno`."""


class NotSyncedError(OSError):
    """A file was written, but its folder could not be synced to the disk."""


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """Open a temporary file in the same folder, which replaces `path` once it is on disk.

    The file is open for reading and writing, at its beginning. A link at `path` is replaced, not
    followed.

    Raises:
        OSError: If it cannot be written. Its `filename` is the path, and the old file is unchanged.
        NotSyncedError: If the file was replaced, but a power failure may still undo that.
    """
    # The name depends on the path only, so killed processes leave at most one file.
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
        # An error of another file is raised unchanged. That of a full disk has no file name, and
        # the name of the temporary file would not help.
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise NotSyncedError(error.errno, error.strerror, str(path)) from error


def save_files(stem: Path, files: Iterable[tuple[str, bytes]]) -> list[Path]:
    """Write files whose paths begin with `stem`, and return their paths.

    Args:
        stem: Beginning of the paths; its folder exists.
        files: The end of each name, such as `.png`, and its content.

    Raises:
        OSError: If one cannot be written.
    """
    paths = []
    for end, content in files:
        paths.append(stem.with_name(f"{stem.name}{end}"))
        with replacing(paths[-1]) as file:
            file.write(content)
    return paths


def create(path: Path) -> FileIO:
    """Create a file and open it unbuffered, after removing an existing one.

    Raises:
        OSError: If it cannot be created, or another process creates it at the same moment.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _WRITING, 0o666)
    return FileIO(descriptor, "w+")


def open_to_append(path: Path) -> FileIO:
    """Open a file unbuffered for reading and appending; create it if it does not exist.

    Raises:
        OSError: If it cannot be opened, or is a symbolic link.
    """
    if path.is_symlink():  # for systems without O_NOFOLLOW, and for a clearer message
        raise _link_error(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _WRITING
    return FileIO(os.open(path, flags, 0o666), "a+")


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


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, and sync each to the disk.

    Raises:
        OSError: If it cannot be created.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def make_folder_inside(top: Path, path: Path) -> None:
    """Create a folder inside another one; `top` may be a symbolic link, the folders below not.

    Raises:
        OSError: If it cannot be created, or is reached through a symbolic link below `top`.
    """
    make_folder(top)
    for part in reversed([path, *path.parents][: len(path.relative_to(top).parts)]):
        if part.is_symlink():
            raise _link_error(part)
        make_folder(part)


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files of killed processes from a folder and its subfolders.

    Links are removed, not followed. No other process may be writing into the folder.

    Raises:
        OSError: If a file cannot be removed.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.startswith(UNFINISHED):
                Path(parent, name).unlink(missing_ok=True)


@contextmanager
def attempting(path: Path) -> Iterator[None]:
    """Turn an OSError inside the context into a warning, for files that a run does not need."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{path}: not written: {error.strerror or error}", stacklevel=3)


def sync_folder(folder: Path) -> None:
    """Sync the entries of a folder to the disk.

    Raises:
        OSError: If it fails.
    """
    if os.name == "posix":  # on Windows a folder cannot be opened, and renaming is durable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, without blocking on pipes, sockets and devices.

    Raises:
        NotAFileError: If it is not a regular file.
        OSError: If it cannot be opened, such as for a missing permission.
    """
    check_regular(path)  # first, since opening a device can have an effect
    descriptor = os.open(path, os.O_RDONLY | _READING)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return BufferedReader(FileIO(descriptor, "r"))


def check_regular(path: Path) -> None:
    """Check that a path is a regular file, or a link to one.

    Raises:
        NotAFileError: If it is a named pipe, a socket or a device.
        OSError: If it does not exist, or is a folder.
    """
    _check_mode(path.stat().st_mode, path)


def _check_mode(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        raise NotAFileError(f"it is {kind}, not a regular file")


def _link_error(path: Path) -> OSError:
    return OSError(errno.ELOOP, "is a symbolic link, which is not followed", str(path))
