"""Files below a folder, without what operating systems and devices leave there."""

from __future__ import annotations

import stat
import unicodedata
from collections import deque
from pathlib import Path, PurePosixPath

from gvt.errors import DataError
from gvt.printable import printable

_LEFT_BY_SYSTEMS = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "found.000"),
        *("system volume information", "__macosx", "icon\r", "lost+found"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
    }
)
"""Files and folders of Windows, macOS, Linux and network storage, in small letters."""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which names are compared.

    macOS and some archives write `é` as two characters, other systems as one.
    """
    return unicodedata.normalize("NFC", name)


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden, or is one that a system keeps for itself."""
    return name.startswith(".") or name.casefold() in _LEFT_BY_SYSTEMS


def files_in(root: Path) -> list[PurePosixPath]:
    """Return all files below a folder, relative to it, sorted by their composed names.

    Files and folders for which `is_passed_over` is true are left out, and are not opened. Links
    are followed, and every folder is listed once, however many of them lead to it: at its own
    place if that is below the root, otherwise by the first link.

    Args:
        root: The folder.

    Raises:
        DataError: If a folder cannot be listed.
    """
    files: list[PurePosixPath] = []
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
        for path in (path for path in inside if not is_passed_over(path.name)):
            kind = _kind(path)
            if kind == stat.S_IFDIR:
                (links if path.is_symlink() else folders).append(path)
            elif kind in (stat.S_IFREG, None):
                files.append(PurePosixPath(path.relative_to(root).as_posix()))
    return sorted(files, key=lambda name: (PurePosixPath(composed(str(name))), name))


def _kind(path: Path) -> int | None:
    """Return what is at the end of a path, such as `stat.S_IFREG`: a pipe would block a reader.

    None is a link to what is not there or not to be seen; reading it says so.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None
