"""Splits that a YAML file names: folders of pictures, or text files that list them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import composed, composed_path, files_below, pictures_below
from .pairing import IMAGES, Paired, relative, there
from .paths import Locator, RelocatedWarning, parts_of

LABELS = ("labels", "label")
"""Names of folders of text files, in small letters."""

NO_LABELS = frozenset({"classes", "train", "val", "valid", "test", "readme", "license", "notes"})
"""What text files beside pictures are called that have no objects in them."""


@dataclass(frozen=True)
class Named:
    """Where a split's pictures are by a YAML file.

    Attributes:
        path: The YAML file.
        key: What the split is called in it.
        places: Folders, and text files with a picture on each line.
        below: The folder that the YAML says they are in, its `path`; empty where it says none.
    """

    path: Path
    key: str
    places: tuple[str, ...]
    below: str

    @property
    def where(self) -> str:
        """The file and the key, for messages."""
        return f"{printable(self.path)}: {self.key}"


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
    named, locator = splits[wanted], Locator(root, wanted)
    pairs: dict[Path, Paired] = {}
    for place in named.places:
        for pair in _pairs(locator, named, place):
            twin = pairs.setdefault(pair.text, pair)
            if twin.image != pair.image:
                raise DataError(
                    f"{printable(pair.image)}: {printable(twin.image)} goes by the same name; move "
                    "one of them away"
                )
    found: dict[str, list[Paired]] = {name: [] for name in splits}
    found[wanted] = sorted(pairs.values(), key=lambda pair: pair.name)
    return found


def _pairs(locator: Locator, named: Named, place: str) -> Sequence[Paired]:
    """Return the pairs of a folder or a list."""
    root = locator.root
    places = _candidates(root, named, place)
    path = next((p for p in places if there(p) or _is_folder(p)), None)
    if path is None:
        path = _elsewhere(locator, named, place)
    if path is None or not (path.suffix == ".txt" or _is_folder(path)):
        raise DataError(
            f"{named.where}: {printable(place)} is neither a folder nor a text file (.txt) below "
            f"{str(root)!r}; mend it, or remove the key"
        )
    folder = _is_folder(path)
    images = (
        [path / name for name in pictures_below(path)] if folder else _listed(locator, named, path)
    )
    if not images:
        raise DataError(f"{named.where}: there are no pictures in {printable(path)}")
    labels = _Labels(root)
    found = [labels.pair(image) for image in images]
    return found + (labels.alone(path, {pair.text for pair in found}) if folder else [])


def _elsewhere(locator: Locator, named: Named, place: str) -> Path | None:
    """Return a folder or a list that is named by a path of another machine, and warn of it."""
    parts = parts_of(place)
    if parts and parts[-1].lower().endswith(".txt"):
        path = locator.files([place], named.path, locator.root)[place].path
        return path if there(path) else None
    try:
        folder = locator.folder(f"{named.below}/{place}")
    except DataError as error:
        raise DataError(f"{named.where}: {error}") from error
    if folder is not None:
        warnings.warn(
            f"{named.where}: {printable(place)} does not exist as written, and was matched by its "
            f"ending to {printable(folder)}",
            RelocatedWarning,
            stacklevel=6,
        )
    return folder


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


def _listed(locator: Locator, named: Named, file: Path) -> Sequence[Path]:
    """Return the pictures on the lines of a text file, which may be below its own folder too."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{printable(file)}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: is not text in UTF-8") from error
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    places = {line: [*_candidates(locator.root, named, line), file.parent / line] for line in lines}
    paths = {line: next(filter(there, of), None) for line, of in places.items()}
    missing = [line for line, path in paths.items() if path is None]
    located = locator.files(missing, file, locator.root) if missing else {}
    return [paths[line] or located[line].path for line in lines]


class _Labels:
    """Finds text files by pictures: in a folder `labels` instead of `images`, or beside them.

    Args:
        root: The data set's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._beside: dict[Path, list[str]] = {}

    def pair(self, image: Path) -> Paired:
        """Return a picture with its text file, or where that would be."""
        files = [folder / f"{image.stem}.txt" for folder in (*self._folders(image.parent),)]
        files.append(image.with_suffix(".txt"))
        found = next(filter(there, files), None)
        if found is None and not image.name.isascii():
            found = next(filter(None, map(self._spelled, files)), None)
        name = composed_path(PurePosixPath(relative(self._root, image)).with_suffix(""))
        return Paired(name, image, found or files[0])

    def alone(self, folder: Path, known: Collection[Path]) -> list[Paired]:
        """Return the text files of a folder of pictures that have none, each with its place."""
        found = []
        for labels in filter(_is_folder, self._folders(folder)):
            for name in files_below(labels, {".txt"}):
                stem = name.stem.partition(".")[0].lower()
                if labels / name not in known and stem not in NO_LABELS:
                    image = (folder / name).with_suffix(".jpg")
                    own = PurePosixPath(relative(self._root, image)).with_suffix("")
                    found.append(Paired(own, image, labels / name))
        return found

    def _folders(self, folder: Path) -> list[Path]:
        """Return where the text files of a folder's pictures may be, in any case of letters."""
        root = self._root if folder.is_relative_to(self._root) else Path(folder.anchor)
        parts = folder.relative_to(root).parts
        at = next((n for n in range(len(parts) - 1, -1, -1) if parts[n].lower() in IMAGES), None)
        if at is None:
            return []
        above = root.joinpath(*parts[:at])
        names = [name for name in self._names(above) if name.lower() in LABELS]
        return [above.joinpath(name, *parts[at + 1 :]) for name in (*names, *LABELS)]

    def _spelled(self, file: Path) -> Path | None:
        """Return a file whose name has the same letters, composed in another way."""
        key = composed(file.name)
        return next(
            (file.with_name(n) for n in self._names(file.parent) if composed(n) == key), None
        )

    def _names(self, folder: Path) -> list[str]:
        """Return what a folder holds; nothing if it cannot be listed."""
        if folder not in self._beside:
            try:
                self._beside[folder] = sorted(path.name for path in folder.iterdir())
            except OSError:
                self._beside[folder] = []
        return self._beside[folder]
