"""Which picture files are meant, and what is made of each is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gvt.errors import UsageError
from gvt.pictures.reading import SUFFIXES
from gvt.printable import printable


@dataclass(frozen=True)
class Source:
    """A picture file.

    Attributes:
        path: The file.
        stem: What is made of it is called so: its name without the suffix, below a folder that
            was searched with the folders in between, as `day/scan`.
        number: Its place among the pictures, from 1.
    """

    path: Path
    stem: Path
    number: int = 0

    @property
    def name(self) -> str:
        """What the picture is called where others read it: as the stem, with the suffix."""
        name = (self.stem.parent / self.path.name).as_posix()
        return name.encode("utf-8", "replace").decode()  # a name may have bytes that are no text


def find_pictures(paths: Sequence[Path], out: Path | None = None) -> list[Source]:
    """Return the picture files that are named, or lie in folders that are, in order.

    Folders are searched with all that is in them, but for what is hidden, and for `out`, where
    earlier predictions may be. A file that is named is taken whatever its suffix.

    Args:
        paths: Files and folders.
        out: The folder that predictions go into.

    Raises:
        UsageError: If nothing is named, there is none of a name, or a folder has no picture.
    """
    if not paths:
        raise UsageError("no pictures: name files, or a folder of them")
    found: dict[Path, Source] = {}
    for path in paths:
        if path.is_dir():
            inside = list(_in_folder(path, out))
            if not inside:
                suffixes = ", ".join(sorted(SUFFIXES))
                raise UsageError(f"{printable(path)}: has no pictures ({suffixes})")
        elif path.exists():
            inside = [Source(path, Path(path.name).with_suffix(""))]
        else:
            raise UsageError(f"{printable(path)}: there is no such file or folder")
        for source in inside:
            found.setdefault(source.path.resolve(), source)
    return [replace(source, number=number) for number, source in enumerate(found.values(), 1)]


def _in_folder(folder: Path, out: Path | None) -> Iterable[Source]:
    left_out = out.resolve() if out is not None else None
    if left_out is not None and folder.resolve().is_relative_to(left_out):
        left_out = None  # whoever names a folder there means it
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in within.parts)
        written = left_out is not None and path.resolve().is_relative_to(left_out)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not (hidden or written):
            yield Source(path, within.with_suffix(""))


def check_distinct(sources: Iterable[Source], endings: Iterable[str]) -> None:
    """Check that no two pictures' predictions are files of one name.

    Args:
        sources: The pictures.
        endings: What is put behind a picture's stem for each file.

    Raises:
        UsageError: If two are; names the pictures.
    """
    endings = list(endings)
    owners: dict[str, Source] = {}
    for source in sources:
        for ending in endings:
            name = f"{source.stem}{ending}"
            # Some file systems take names that differ in capitals for one.
            other = owners.setdefault(name.casefold(), source)
            if other is not source:
                raise UsageError(
                    f"{printable(other.path)} and {printable(source.path)}: both would become "
                    f"{printable(name)}; rename one, or predict them apart"
                )
