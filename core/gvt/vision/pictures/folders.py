"""List the files below a folder, and tell image files from others."""

from __future__ import annotations

import stat
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from gvt.errors import DataError
from gvt.printable import printable
from gvt.vision.pictures.reading import begins_like_a_picture

_LEFT_BY_SYSTEMS = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler", "found.000"),
        *("system volume information", "__macosx", "icon\r", "lost+found"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
    }
)
"""Files and folders of Windows, macOS, Linux and network storage, in lower case."""

_OTHER_PICTURES = frozenset(
    {
        *(".heic", ".heif", ".hif", ".avif", ".avifs", ".jxl", ".jp2", ".j2k", ".jpx", ".jpf"),
        *(".jpc", ".j2c", ".jxr", ".svg", ".svgz", ".psd", ".psb", ".xcf", ".tga", ".ico", ".icns"),
        *(".cur", ".pcx", ".dcx", ".dds", ".exr", ".hdr", ".qoi", ".sgi", ".rgb", ".rgba", ".ras"),
        *(".xbm", ".xpm", ".eps", ".pam", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
        *(".raf", ".rw2", ".pef", ".srw", ".dcm", ".dicom", ".nii", ".mha", ".nrrd", ".fits"),
        *(".fit", ".fts", ".npy", ".npz", ".czi", ".lif", ".nd2", ".svs", ".ndpi", ".vsi", ".jng"),
    }
)
"""Suffixes of images in formats that are not read, in lower case."""

_TRIED = 8
"""Files of each unknown suffix that are opened."""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), in which names are compared.

    macOS and some archives write `é` as two characters, other systems as one.
    """
    return unicodedata.normalize("NFC", name)


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is hidden, or is one of the operating system."""
    return name.startswith(".") or name.casefold() in _LEFT_BY_SYSTEMS


def files_in(root: Path) -> list[PurePosixPath]:
    """Return all files below a folder, relative to it, sorted by their composed names.

    Files and folders for which `is_passed_over` is true are left out, and are not opened. Links
    are followed, and every folder is listed once: at its own place if that is below the root,
    otherwise at its first link.

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


def by_suffix(names: Iterable[PurePosixPath]) -> dict[str, int]:
    """Return the number of files of each suffix, in lower case, the most frequent first."""
    counts = Counter(name.suffix.lower() for name in names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def counted(suffixes: Mapping[str, int]) -> str:
    """Return numbers of files by suffix as text: `12 .heic, 3 without suffix`."""
    return ", ".join(
        f"{count:,} {printable(suffix) or 'without suffix'}" for suffix, count in suffixes.items()
    )


def overlooked(root: Path, names: Iterable[PurePosixPath]) -> dict[str, int]:
    """Return, by suffix, the number of files that may be images although they are not read.

    These are files in formats that are not read, and files of any other suffix, or without one, if
    one of them begins like an image that could be read.

    Args:
        root: The folder.
        names: Files that are not read as images, relative to the folder.
    """
    names = list(names)
    counts = by_suffix(names)
    for suffix in counts.keys() - _OTHER_PICTURES:
        files = [name for name in names if name.suffix.lower() == suffix]
        if not any(begins_like_a_picture(root / name) for name in files[:_TRIED]):
            del counts[suffix]
    return counts


def _kind(path: Path) -> int | None:
    """Return the kind of a file, such as `stat.S_IFREG`; a pipe would block a reader.

    It is None for a broken link, or without permission; reading it is an error.
    """
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None
