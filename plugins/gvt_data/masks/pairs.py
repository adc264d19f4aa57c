"""Pairing of images and masks by their names."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import composed, composed_path, pictures_below
from ..splits import by_split_folder, split_folders
from .layout import EXPECTED, Folders, Place

_Reader = Callable[[Path], dict[PurePosixPath, Path]]
"""Function that returns the images below a folder by the names under which they are paired."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask, one of which may be missing.

    Attributes:
        name: Their common path below the two folders, without suffix, in composed letters. It
            begins with the split if the split has folders of its own.
        image: Image file.
        mask: Mask file.
        expected: Expected path of the missing file.
    """

    name: PurePosixPath
    image: Path | None
    mask: Path | None
    expected: str = ""

    @property
    def missing(self) -> str | None:
        """Error message for a missing file; None if both files exist."""
        if self.image is None and self.mask is None:
            return f"{self.expected}: is missing, and so is its mask"
        if self.image is None:
            return f"{printable(self.mask)}: has no image; there is no {self.expected}"
        if self.mask is None:
            return f"{printable(self.image)}: has no mask; there is no {self.expected}"
        return None


@dataclass(frozen=True)
class Naming:
    """How the name of a mask is made from the name of its image.

    Attributes:
        beginning: Text before the image's name.
        ending: Text after the image's name, before the suffix.
    """

    beginning: str = ""
    ending: str = ""

    def image_of(self, mask: PurePosixPath) -> PurePosixPath | None:
        """Return the name of a mask's image; None if the file is not named like a mask."""
        begin, end = composed(self.beginning), composed(self.ending)
        name = mask.name
        if not (name.startswith(begin) and name.endswith(end)) or len(name) <= len(begin + end):
            return None
        return mask.with_name(name.removeprefix(begin).removesuffix(end))

    def __str__(self) -> str:
        """Return the naming as overrides for a shell."""
        parameters = {"mask_beginning": self.beginning, "mask_ending": self.ending}
        return " ".join(_override(name, value) for name, value in parameters.items() if value)


def pairs_below(root: Path, folders: Folders, naming: Naming) -> Mapping[str, Sequence[Pair]]:
    """Return the pairs of each split with folders; all pairs are `train` if no split has any.

    Raises:
        DataError: If there are no such folders or no images, two files have one name, or the masks
            have another naming.
    """
    if places := folders.of_splits(root):
        return {
            split: [*_paired(place, naming, _by_stem, PurePosixPath(split)).values()]
            for split, place in places.items()
        }
    pairs = _paired(folders.of_all(root), naming, _by_stem_and_split, PurePosixPath())
    if not pairs:
        raise DataError(f"data.root: no images in {str(root)!r}; {EXPECTED}")
    by_split = by_split_folder(root, list(pairs))
    return {split: [pairs[name] for name in names] for split, names in by_split.items()}


def _paired(
    place: Place, naming: Naming, read: _Reader, split: PurePosixPath
) -> dict[PurePosixPath, Pair]:
    """Return the images and masks of two folders by their common names, sorted."""
    if place.images == place.masks and naming == Naming():
        raise DataError(
            f"data.masks: {printable(place.masks)} is also the folder of images; give the ending "
            "of the masks' names, as in data.mask_ending=_mask"
        )
    image_of = read(place.images)
    stems = read(place.masks) if place.masks.is_dir() else {}
    mask_of = {name: path for stem, path in stems.items() if (name := naming.image_of(stem))}
    if place.images == place.masks:
        image_of = {n: path for n, path in image_of.items() if naming.image_of(n) is None}
    if image_of and stems and not image_of.keys() & mask_of.keys():
        _check_naming(place, image_of.keys(), stems.keys() - image_of.keys())
    return {
        split / name: Pair(
            split / name,
            image_of.get(name),
            mask_of.get(name),
            f"{printable(place.images / name)}.*"
            if name not in image_of
            else f"{printable(place.masks / _mask_name(name, naming))}.*",
        )
        for name in sorted({*image_of, *mask_of})
    }


def _check_naming(
    place: Place, images: Collection[PurePosixPath], masks: Collection[PurePosixPath]
) -> None:
    """Check that masks without images do not simply have another naming.

    Raises:
        DataError: If most images have a mask once a beginning or an ending is cut off.
    """
    namings: Counter[Naming] = Counter()
    names = {*images}
    for mask in masks:
        for cut in range(1, len(mask.name)):
            if mask.with_name(mask.name[:cut]) in names:
                namings[Naming(ending=mask.name[cut:])] += 1
            if mask.with_name(mask.name[cut:]) in names:
                namings[Naming(beginning=mask.name[:cut])] += 1
    best, count = max(namings.items(), key=lambda item: item[1], default=(Naming(), 0))
    if 2 * count >= min(len(images), len(masks)):
        where = "after" if best.ending else "before"
        raise DataError(
            f"data.masks: the masks in {printable(place.masks)} are named like their images, with "
            f"{best.ending or best.beginning!r} {where} the name: give {best}"
        )


def _mask_name(name: PurePosixPath, naming: Naming) -> PurePosixPath:
    """Return the name of an image's mask."""
    return name.with_name(f"{naming.beginning}{name.name}{naming.ending}")


def _by_stem(folder: Path) -> dict[PurePosixPath, Path]:
    """Return the images below a folder by their names without suffix, in composed letters."""
    by_stem: dict[PurePosixPath, Path] = {}
    for name in pictures_below(folder):
        stem, path = composed_path(name.with_suffix("")), folder / name
        if stem in by_stem:
            raise DataError(
                f"{printable(path)}: has the same name as {printable(by_stem[stem].name)} but for "
                "the suffix; move one of them away"
            )
        by_stem[stem] = path
    return by_stem


def _by_stem_and_split(folder: Path) -> dict[PurePosixPath, Path]:
    """Return the images by stem, with the folder of a split replaced by the split's name."""
    by_stem = _by_stem(folder)
    first = {stem.parts[0] for stem in by_stem if len(stem.parts) > 1}
    splits = {name: split for split, name in split_folders(folder, first).items()}
    return {
        PurePosixPath(splits.get(stem.parts[0], stem.parts[0]), *stem.parts[1:])
        if len(stem.parts) > 1
        else stem: path
        for stem, path in by_stem.items()
    }


def _override(name: str, value: str) -> str:
    """Return an override that gives a parameter a text, quoted for a shell."""
    plain = re.fullmatch(r"[A-Za-z_.-]*[A-Za-z][\w.-]*", value)
    return f"data.{name}={value}" if plain else shlex.quote(f'data.{name}="{value}"')
