"""List the image files below a folder."""

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
    """Return a relative path with composed letters, for comparisons; see `composed`."""
    return PurePosixPath(composed(name.as_posix()))


def pictures_below(root: Path) -> list[PurePosixPath]:
    """Return all images below a folder; see `files_below`."""
    return files_below(root, SUFFIXES)


def files_below(root: Path, suffixes: Collection[str]) -> list[PurePosixPath]:
    """Return the paths of all files with one of the suffixes, relative to the root, as on disk.

    The files are sorted by their composed names. Links are followed. Hidden and system files are
    left out; see `gvt.vision.pictures.folders.files_in`.

    Args:
        root: The folder.
        suffixes: Suffixes in lower case, such as `.png`.

    Raises:
        DataError: If a folder cannot be listed, or the names of two files differ only in their
            Unicode normalisation.
    """
    files = [name for name in files_in(root) if name.suffix.lower() in suffixes]
    _check_distinct(root, files)
    return files


def pictures_and_others(root: Path) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return all images below a folder, and all other files; see `files_below`.

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
                f"{str(root / name)!a} and {str(root / twin)!a}: their names differ only in their "
                "Unicode normalisation; rename one or move it away"
            )


def fingerprint(names: Sequence[str]) -> str:
    """Return a short text that changes if an image is added, removed or renamed."""
    lines = "".join(f"{composed(name)}\n" for name in names)
    return sha256(os.fsencode(lines)).hexdigest()[:16]
