"""The image files to predict, and the names of their output files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gvt import UsageError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES, by_suffix, composed, counted, files_in, overlooked


@dataclass(frozen=True)
class Source:
    """An image file.

    Attributes:
        path: Image file.
        stem: Beginning of the names of the output files: the name without suffix, with the
            subfolders of a searched folder, as in `day/scan`.
        number: Number of the image, from 1.
    """

    path: Path
    stem: Path
    number: int = 0

    @property
    def name(self) -> str:
        """Name of the image in output files: the stem with the suffix."""
        name = (self.stem.parent / self.path.name).as_posix()
        return name.encode("utf-8", "replace").decode()  # a name may have bytes that are not text


def find_pictures(paths: Sequence[Path], out: Path | None = None) -> list[Source]:
    """Return the given image files, and those in the given folders, in order.

    Folders are searched by `gvt.vision.pictures.files_in`, as for data sets of files, except `out`,
    which may have earlier predictions. A given file may have any suffix.

    Args:
        paths: Files and folders.
        out: Output folder.

    Raises:
        UsageError: If no path is given, a path does not exist, or a folder has no images.
        DataError: If a folder cannot be listed.
    """
    if not paths:
        raise UsageError("no images: give image files or folders")
    sources: dict[Path, Source] = {}
    for path in paths:
        if path.is_dir():
            images, others = _in_folder(path, out)
            if not images:
                present = f", but {counted(by_suffix(others))}" if others else ""
                suffixes = ", ".join(sorted(SUFFIXES))
                raise UsageError(f"{printable(path)}: has no images ({suffixes}){present}")
            inside = [Source(path / name, Path(name).with_suffix("")) for name in images]
        elif path.exists():
            inside = [Source(path, Path(path.name).with_suffix(""))]
        else:
            raise UsageError(f"{printable(path)}: there is no such file or folder")
        for source in inside:
            sources.setdefault(source.path.resolve(), source)
    return [replace(source, number=number) for number, source in enumerate(sources.values(), 1)]


def passed_over(paths: Iterable[Path], out: Path | None = None) -> list[str]:
    """Return a line for each folder with possible images that are not predicted.

    Args:
        paths: As for `find_pictures`.
        out: As for `find_pictures`.
    """
    lines = []
    for path in (path for path in paths if path.is_dir()):
        if suffixes := overlooked(path, _in_folder(path, out)[1]):
            lines.append(f"{printable(path)}: left out: {counted(suffixes)}")
    return lines


def _in_folder(folder: Path, out: Path | None) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return the images in a folder and its other files, relative to it."""
    excluded = out.resolve() if out is not None else None
    if excluded is not None and folder.resolve().is_relative_to(excluded):
        excluded = None  # a folder inside `out` was given explicitly
    images: list[PurePosixPath] = []
    others: list[PurePosixPath] = []
    for name in files_in(folder):
        if excluded is None or not (folder / name).resolve().is_relative_to(excluded):
            (images if name.suffix.lower() in SUFFIXES else others).append(name)
    return images, others


def check_distinct(sources: Iterable[Source], endings: Iterable[str]) -> None:
    """Check that the names of the output files of all images are distinct.

    Args:
        sources: Image files.
        endings: Part of the name after the stem, for each output file.

    Raises:
        UsageError: If two names are equal; names the images.
    """
    endings = list(endings)
    owners: dict[str, Source] = {}
    for source in sources:
        for ending in endings:
            name = f"{source.stem}{ending}"
            # Some file systems ignore differences in case, or in Unicode form.
            other = owners.setdefault(composed(name).casefold(), source)
            if other is not source:
                raise UsageError(
                    f"{printable(other.path)} and {printable(source.path)}: both would become "
                    f"{printable(name)}; rename one, or predict them separately"
                )
