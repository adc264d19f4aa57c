"""Which pictures stand below a folder."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.pictures.reading import SUFFIXES
from gvt.printable import printable


def pictures_below(root: Path) -> list[PurePosixPath]:
    """Return all pictures that are not hidden, as `files_below` does."""
    return files_below(root, SUFFIXES)


def files_below(root: Path, suffixes: Collection[str]) -> list[PurePosixPath]:
    """Return all files of some suffixes that are not hidden, relative to the root, sorted.

    Links are followed, and every folder is listed once, however many of them lead to it: at its
    own place if that is below the root, otherwise by the first link.

    Args:
        root: The folder.
        suffixes: In small letters, as in `.png`.

    Raises:
        DataError: If a folder cannot be listed.
    """
    found: list[PurePosixPath] = []
    seen: set[tuple[int, int]] = set()
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            inside = sorted(folder.iterdir())
        except OSError as error:
            reason = error.strerror
            raise DataError(f"{printable(folder)}: cannot be listed: {reason}") from error
        for path in (path for path in inside if not path.name.startswith(".")):
            kind = _kind(path)
            if kind == stat.S_IFDIR:
                (links if path.is_symlink() else folders).append(path)
            elif kind in (stat.S_IFREG, None) and path.suffix.lower() in suffixes:
                found.append(PurePosixPath(path.relative_to(root).as_posix()))
    return sorted(found)


def _kind(path: Path) -> int | None:
    """Return what is at the end of a path, such as `stat.S_IFREG`: a pipe would block a reader.

    None is a link to what is not there or not to be seen; reading it says so.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None


def fingerprint(names: Sequence[str]) -> str:
    """Return a short text that changes when a picture comes, goes or is renamed."""
    return sha256(os.fsencode("".join(f"{name}\n" for name in names))).hexdigest()[:16]
