"""Splits that a YAML file names: folders of pictures, or text files that list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import files_below, pictures_below
from .pairing import IMAGES, Paired, relative, there

NO_LABELS = frozenset({"classes", "train", "val", "valid", "test", "readme", "license", "notes"})
"""What text files beside pictures are called that have no objects in them."""


@dataclass(frozen=True)
class Named:
    """Where a split's pictures are by a YAML file.

    Attributes:
        where: The file and the key, for messages.
        places: Folders, and text files with a picture on each line.
        below: The folder that the YAML says they are in, its `path`; empty where it says none.
    """

    where: str
    places: tuple[str, ...]
    below: str


def named_pairs(root: Path, splits: Mapping[str, Named], split: str) -> dict[str, list[Paired]]:
    """Return the pairs of a split that is named, or of `train`, of which another is a share.

    Places are looked for below the root, or below the folder that the YAML gives as `path`. The
    other splits that are named are there, and empty.

    Args:
        root: The data set's folder.
        splits: The splits that are named.
        split: The split that is wanted.

    Raises:
        DataError: If a place is not there, or has no pictures, or two pictures have one text file.
    """
    wanted = split if split in splits else "train"
    if wanted not in splits:
        others = " and ".join(named.where for named in splits.values())
        raise DataError(f"{others}: is named, and train is not; name its pictures as well")
    named = splits[wanted]
    pairs: dict[Path, Paired] = {}
    for place in named.places:
        for pair in _pairs(root, named, place):
            twin = pairs.setdefault(pair.text, pair)
            if twin.image != pair.image:
                raise DataError(
                    f"{printable(pair.image)}: {printable(twin.image)} goes by the same name; move "
                    "one of them away"
                )
    found: dict[str, list[Paired]] = {name: [] for name in splits}
    found[wanted] = sorted(pairs.values(), key=lambda pair: pair.name)
    return found


def _pairs(root: Path, named: Named, place: str) -> Sequence[Paired]:
    """Return the pairs of a folder or a list."""
    path = next((p for p in _candidates(root, named, place) if there(p) or _is_folder(p)), None)
    if path is None or not (path.suffix == ".txt" or _is_folder(path)):
        raise DataError(
            f"{named.where}: {printable(place)} is no folder and no text file (.txt) below "
            f"{str(root)!r}; mend it, or remove the key"
        )
    folder = _is_folder(path)
    images = (
        [path / name for name in pictures_below(path)] if folder else _listed(root, named, path)
    )
    if not images:
        raise DataError(f"{named.where}: there are no pictures in {printable(path)}")
    found = [_pair(root, image) for image in images]
    return found + (_alone(root, path, {pair.text for pair in found}) if folder else [])


def _candidates(root: Path, named: Named, place: str) -> Iterator[Path]:
    """Yield where a place or a picture may be."""
    # Programs write `../train/images` where the folder `train` is beside their YAML.
    parts = [part for part in PurePosixPath(place).parts if part != ".."]
    yield root.joinpath(*parts)
    yield root / named.below / place


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _listed(root: Path, named: Named, file: Path) -> Sequence[Path]:
    """Return the pictures on the lines of a text file, which may be below its own folder too."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{printable(file)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: is no text in UTF-8") from error
    found = []
    for line in filter(None, map(str.strip, lines)):
        places = [*_candidates(root, named, line), file.parent / line]
        found.append(next(filter(there, places), places[0]))
    return found


def _pair(root: Path, image: Path) -> Paired:
    """Return a picture with its text file: in a folder `labels` instead of `images`, or beside."""
    places = [_instead(root, image, IMAGES, name) for name in ("labels", "label")]
    files = [place.with_suffix(".txt") for place in (*places, image)]
    name = PurePosixPath(relative(root, image)).with_suffix("")
    return Paired(name, image, next(filter(there, files), files[0]))


def _alone(root: Path, folder: Path, known: set[Path]) -> list[Paired]:
    """Return the text files of a folder of pictures that have none, each with where it would be."""
    labels = _instead(root, folder, IMAGES, "labels")
    if not _is_folder(labels):
        return []
    found = []
    for name in files_below(labels, {".txt"}):
        if labels / name not in known and name.stem.partition(".")[0].lower() not in NO_LABELS:
            image = (folder / name).with_suffix(".jpg")
            own = PurePosixPath(relative(root, image)).with_suffix("")
            found.append(Paired(own, image, labels / name))
    return found


def _instead(root: Path, path: Path, names: Sequence[str], other: str) -> Path:
    """Return a path with the last folder below the root that has one of these names called so."""
    if not path.is_relative_to(root):
        root = Path(path.anchor)
    parts = [*path.relative_to(root).parts]
    for at in range(len(parts) - 1, -1, -1):
        if parts[at].lower() in names:
            parts[at] = other
            break
    return root.joinpath(*parts)
