"""The picture files to predict, and the names of the files written for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from gvt import UsageError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES, by_suffix, composed, counted, files_in, overlooked


@dataclass(frozen=True)
class Source:
    """A picture file.

    Attributes:
        path: The file.
        stem: What its output files' names begin with: its name without the suffix, below a folder
            that was searched with the folders in between, as `day/scan`.
        number: Its place among the pictures, from 1.
    """

    path: Path
    stem: Path
    number: int = 0

    @property
    def name(self) -> str:
        """The picture's name in files that are written: the stem with the suffix."""
        name = (self.stem.parent / self.path.name).as_posix()
        return name.encode("utf-8", "replace").decode()  # a name may have bytes that are not text


def find_pictures(paths: Sequence[Path], out: Path | None = None) -> list[Source]:
    """Return the picture files that are named, and those in named folders, in order.

    Folders are searched as data sets of files are, by `gvt.vision.pictures.files_in`, except
    `out`, which may hold earlier predictions. A file that is named may have any suffix.

    Args:
        paths: Files and folders.
        out: The folder that predictions go into.

    Raises:
        UsageError: If nothing is named, a path does not exist, or a folder has no picture.
        DataError: If a folder cannot be listed.
    """
    if not paths:
        raise UsageError("no pictures: name files, or a folder of them")
    sources: dict[Path, Source] = {}
    for path in paths:
        if path.is_dir():
            pictures, others = _in_folder(path, out)
            if not pictures:
                over = f" that are read, but {counted(by_suffix(others))}" if others else ""
                suffixes = ", ".join(sorted(SUFFIXES))
                raise UsageError(f"{printable(path)}: has no pictures{over} ({suffixes})")
            inside = [Source(path / name, Path(name).with_suffix("")) for name in pictures]
        elif path.exists():
            inside = [Source(path, Path(path.name).with_suffix(""))]
        else:
            raise UsageError(f"{printable(path)}: there is no such file or folder")
        for source in inside:
            sources.setdefault(source.path.resolve(), source)
    return [replace(source, number=number) for number, source in enumerate(sources.values(), 1)]


def passed_over(paths: Iterable[Path], out: Path | None = None) -> list[str]:
    """Return a line for each folder with possible pictures that are not predicted.

    Args:
        paths: As for `find_pictures`.
        out: As for `find_pictures`.
    """
    lines = []
    for path in (path for path in paths if path.is_dir()):
        if suffixes := overlooked(path, _in_folder(path, out)[1]):
            lines.append(f"{printable(path)}: passed over: {counted(suffixes)}")
    return lines


def _in_folder(folder: Path, out: Path | None) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return the pictures in a folder and its other files, relative to it."""
    left_out = out.resolve() if out is not None else None
    if left_out is not None and folder.resolve().is_relative_to(left_out):
        left_out = None  # a folder inside `out` was named on purpose
    pictures: list[PurePosixPath] = []
    others: list[PurePosixPath] = []
    for name in files_in(folder):
        if left_out is None or not (folder / name).resolve().is_relative_to(left_out):
            (pictures if name.suffix.lower() in SUFFIXES else others).append(name)
    return pictures, others


def check_distinct(sources: Iterable[Source], endings: Iterable[str]) -> None:
    """Check that no two pictures' output files have the same name.

    Args:
        sources: The pictures.
        endings: What follows a picture's stem in the name of each output file.

    Raises:
        UsageError: If two have; names the pictures.
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
                    f"{printable(name)}; rename one, or predict them apart"
                )
