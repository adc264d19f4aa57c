"""Which pictures stand below a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.vision.pictures import SUFFIXES, composed, files_in

__all__ = [
    "composed",
    "composed_path",
    "files_below",
    "fingerprint",
    "pictures_and_others",
    "pictures_below",
]


def composed_path(name: PurePosixPath) -> PurePosixPath:
    """Return a relative path as it is compared with others; see `composed`."""
    return PurePosixPath(composed(name.as_posix()))


def pictures_below(root: Path) -> list[PurePosixPath]:
    """Return all pictures below a folder, as `files_below` does."""
    return files_below(root, SUFFIXES)


def files_below(root: Path, suffixes: Collection[str]) -> list[PurePosixPath]:
    """Return all files of some suffixes, as spelled on disk and relative to the root.

    They are sorted by their composed names. Links are followed; hidden files and those of systems
    are left out, see `gvt.vision.pictures.folders.files_in`.

    Args:
        root: The folder.
        suffixes: In small letters, as in `.png`.

    Raises:
        DataError: If a folder cannot be listed, or the names of two files differ only in whether
            their letters are composed.
    """
    files = [name for name in files_in(root) if name.suffix.lower() in suffixes]
    _check_distinct(root, files)
    return files


def pictures_and_others(root: Path) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return all pictures below a folder, as `files_below` does, and all other files.

    Raises:
        DataError: As `files_below` does.
    """
    files = files_in(root)
    pictures = [name for name in files if name.suffix.lower() in SUFFIXES]
    _check_distinct(root, pictures)
    return pictures, [name for name in files if name.suffix.lower() not in SUFFIXES]


def _check_distinct(root: Path, files: Sequence[PurePosixPath]) -> None:
    by_name: dict[PurePosixPath, PurePosixPath] = {}
    for name in files:
        twin = by_name.setdefault(composed_path(name), name)
        if twin is not name:
            raise DataError(
                f"{str(root / name)!a} and {str(root / twin)!a}: their names differ only in how "
                "Unicode composes their letters; rename one or move it away"
            )


def fingerprint(names: Sequence[str]) -> str:
    """Return a short text that changes when a picture comes, goes or is renamed."""
    lines = "".join(f"{composed(name)}\n" for name in names)
    return sha256(os.fsencode(lines)).hexdigest()[:16]
