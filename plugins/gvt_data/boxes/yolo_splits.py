"""Read the splits named in a YAML file: folders of images, or text files that list images."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import composed, composed_path, files_below, pictures_below
from .pairing import IMAGES, Paired, is_folder, read_text, relative, there
from .paths import Locator, RelocatedWarning, parts_of

LABELS = ("labels", "label")
"""Names of folders of text files, in lower case."""

NO_LABELS = frozenset({"classes", "train", "val", "valid", "test", "readme", "license", "notes"})
"""Stems of text files beside images that do not contain objects."""


@dataclass(frozen=True)
class Named:
    """The entry of a split in a YAML file.

    Attributes:
        path: The YAML file.
        key: The key of the split.
        places: Folders of images, and text files with the path of an image on each line.
        below: The entry `path` of the YAML file, the folder of the places; empty if absent.
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
    """Return the pairs of a named split, or those of `train` if the split is not named.

    Places are looked for below the root, and below the folder `path` of the YAML file. All other
    named splits are in the result, and empty.

    Args:
        root: Folder of the data set.
        splits: The named splits.
        split: The split to read.

    Raises:
        DataError: If a place does not exist or has no images, or two images have the same text
            file.
    """
    source = split if split in splits else "train"
    if source not in splits:
        keys = " and ".join(named.where for named in splits.values())
        raise DataError(f"{keys}: is named, but train is not; add the images of train")
    named, locator = splits[source], Locator(root, source)
    pairs: dict[Path, Paired] = {}
    for place in named.places:
        for pair in _pairs(locator, named, place):
            twin = pairs.setdefault(pair.text, pair)
            if twin.image != pair.image:
                raise DataError(
                    f"{printable(pair.image)}: {printable(twin.image)} has the same name; move one "
                    "of them away"
                )
    by_split: dict[str, list[Paired]] = {name: [] for name in splits}
    by_split[source] = sorted(pairs.values(), key=lambda pair: pair.name)
    return by_split


def _pairs(locator: Locator, named: Named, place: str) -> Sequence[Paired]:
    """Return the pairs of a folder or a list."""
    root = locator.root
    candidates = _candidates(root, named, place)
    path = next((p for p in candidates if there(p) or is_folder(p)), None)
    if path is None:
        path = _by_ending(locator, named, place)
    if path is None or not (path.suffix == ".txt" or is_folder(path)):
        raise DataError(
            f"{named.where}: {printable(place)} is neither a folder nor a text file (.txt) below "
            f"{str(root)!r}; mend it, or remove the key"
        )
    folder = is_folder(path)
    images = (
        [path / name for name in pictures_below(path)] if folder else _listed(locator, named, path)
    )
    if not images:
        raise DataError(f"{named.where}: there are no images in {printable(path)}")
    labels = _Labels(root)
    pairs = [labels.pair(image) for image in images]
    return pairs + (labels.alone(path, {pair.text for pair in pairs}) if folder else [])


def _by_ending(locator: Locator, named: Named, place: str) -> Path | None:
    """Return the folder or list that a path of another machine names, with a warning."""
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
    """Yield the paths below the root that a place or an image may have."""
    # Tools write `../train/images` although the folder `train` is beside their YAML file.
    parts = [part for part in PurePosixPath(place).parts if part != ".."]
    yield root.joinpath(*parts)
    yield root / named.below / place


def _listed(locator: Locator, named: Named, file: Path) -> Sequence[Path]:
    """Return the images listed in a text file; their paths may be relative to its folder."""
    lines = [line for line in map(str.strip, read_text(file).splitlines()) if line]
    root, folder = locator.root, file.parent
    candidates = {line: [*_candidates(root, named, line), folder / line] for line in lines}
    paths = {line: next(filter(there, files), None) for line, files in candidates.items()}
    missing = [line for line, path in paths.items() if path is None]
    located = locator.files(missing, file, root) if missing else {}
    return [paths[line] or located[line].path for line in lines]


class _Labels:
    """Find the text files of images: in a folder `labels` instead of `images`, or beside them.

    Args:
        root: Folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listings: dict[Path, list[str]] = {}

    def pair(self, image: Path) -> Paired:
        """Return an image with its text file, or with the expected path of that file."""
        files = [folder / f"{image.stem}.txt" for folder in self._folders(image.parent)]
        files.append(image.with_suffix(".txt"))
        text = next(filter(there, files), None)
        if text is None and not image.name.isascii():
            text = next(filter(None, map(self._same_letters, files)), None)
        return Paired(composed_path(self._name(image)), image, text or files[0])

    def alone(self, folder: Path, texts: Collection[Path]) -> list[Paired]:
        """Return the text files without an image in a folder, each with its expected image.

        Args:
            folder: The folder of images.
            texts: The text files of the images.
        """
        pairs = []
        for labels in filter(is_folder, self._folders(folder)):
            for name in files_below(labels, {".txt"}):
                stem = name.stem.partition(".")[0].lower()
                if labels / name not in texts and stem not in NO_LABELS:
                    image = (folder / name).with_suffix(".jpg")
                    pairs.append(Paired(self._name(image), image, labels / name))
        return pairs

    def _name(self, image: Path) -> PurePosixPath:
        return PurePosixPath(relative(self._root, image)).with_suffix("")

    def _folders(self, folder: Path) -> list[Path]:
        """Return the possible folders of the text files of a folder's images, in any case."""
        root = self._root if folder.is_relative_to(self._root) else Path(folder.anchor)
        parts = folder.relative_to(root).parts
        at = next((n for n in range(len(parts) - 1, -1, -1) if parts[n].lower() in IMAGES), None)
        if at is None:
            return []
        above = root.joinpath(*parts[:at])
        names = [name for name in self._names(above) if name.lower() in LABELS]
        return [above.joinpath(name, *parts[at + 1 :]) for name in (*names, *LABELS)]

    def _same_letters(self, file: Path) -> Path | None:
        """Return the file whose name has the same letters in another Unicode normalisation."""
        key = composed(file.name)
        return next(
            (file.with_name(n) for n in self._names(file.parent) if composed(n) == key), None
        )

    def _names(self, folder: Path) -> list[str]:
        """Return the names in a folder; empty if it cannot be listed."""
        if folder not in self._listings:
            try:
                self._listings[folder] = sorted(path.name for path in folder.iterdir())
            except OSError:
                self._listings[folder] = []
        return self._listings[folder]
