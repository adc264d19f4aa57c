"""Images and their masks, found below a folder by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import pictures_below
from ..splits import SPLITS, by_split_folder

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "annotations")

EXPECTED = (
    "expected are images and masks of the same names in two folders (ROOT/images/1.jpg and "
    "ROOT/masks/1.png), and these perhaps in folders train, val and test (ROOT/train/images/1.jpg)"
)


@dataclass(frozen=True)
class Pair:
    """An image and its mask, one of which may be missing.

    Attributes:
        name: The path that they have in common, without suffix, below the folders of both; with
            the split before it where that has folders of its own.
        image: The image's file.
        mask: The mask's file.
        expected: Where the one that is missing would be.
    """

    name: PurePosixPath
    image: Path | None
    mask: Path | None
    expected: str = ""

    @property
    def missing(self) -> str | None:
        """What to say if one of the two is missing."""
        if self.image is None and self.mask is None:
            return f"{self.expected}: is missing, and its mask"
        if self.image is None:
            return f"{printable(self.mask)}: a mask without an image; there is no {self.expected}"
        if self.mask is None:
            return f"{printable(self.image)}: an image without a mask; there is no {self.expected}"
        return None


@dataclass(frozen=True)
class Folders:
    """Where images and masks are below a folder, and how their names go together.

    Attributes:
        images: The folder of images; found by its usual names unless given.
        masks: The same of masks.
        ending: What a mask's name has behind its image's, before the suffix.
    """

    images: str | None = None
    masks: str | None = None
    ending: str = ""

    def pairs(self, root: Path) -> Mapping[str, Sequence[Pair]]:
        """Return the pairs of each split that has folders; all are `train` where none has.

        Raises:
            DataError: If there are no such folders, no images, or two of one name.
        """
        own = [split for split in SPLITS if self._is_base(root / split)]
        if own:
            return {s: self._pairs_of(root / s, PurePosixPath(s)) for s in own}
        pairs = self._pairs_of(root, PurePosixPath())
        if not pairs:
            raise DataError(f"data.root: no pictures in {str(root)!r}; {EXPECTED}")
        by_name = {pair.name: pair for pair in pairs}
        folders = by_split_folder(root, list(by_name))
        return {split: [by_name[name] for name in names] for split, names in folders.items()}

    def _is_base(self, folder: Path) -> bool:
        """Whether a folder has one of images in it."""
        if not folder.is_dir():
            return False
        return bool(self._candidates(folder, self.images, IMAGES))

    def _candidates(self, base: Path, given: str | None, usual: Sequence[str]) -> list[Path]:
        if given is not None:
            return [base / given] if (base / given).is_dir() else []
        return sorted(p for p in base.iterdir() if p.name.lower() in usual and p.is_dir())

    def _folder(self, base: Path, what: str, given: str | None, usual: Sequence[str]) -> Path:
        found = self._candidates(base, given, usual)
        if not found:
            where = f"{str(base)!r} has no folder {given or ' or '.join(usual[:2])}"
            raise DataError(f"data.{what}: {where}; {EXPECTED}; other names: data.{what}=NAME")
        if len(found) > 1:
            names = " and ".join(printable(path.name) for path in found)
            raise DataError(f"data.{what}: {str(base)!r} has {names}; say which, data.{what}=NAME")
        return found[0]

    def _pairs_of(self, base: Path, split: PurePosixPath) -> list[Pair]:
        images = self._folder(base, "images", self.images, IMAGES)
        masks = self._folder(base, "masks", self.masks, MASKS)
        image_of, mask_of = _by_stem(images), _by_stem(masks)
        if self.ending:
            named = mask_of.items()
            mask_of = {_cut(n, self.ending): p for n, p in named if n.name.endswith(self.ending)}
            if images == masks:
                ends = self.ending
                image_of = {n: p for n, p in image_of.items() if not n.name.endswith(ends)}
        return [
            Pair(
                split / name,
                image_of.get(name),
                mask_of.get(name),
                f"{printable(images / name)}.*"
                if name not in image_of
                else f"{printable(masks / name)}{self.ending}.*",
            )
            for name in sorted({*image_of, *mask_of})
        ]


def _cut(name: PurePosixPath, ending: str) -> PurePosixPath:
    return name.with_name(name.name.removesuffix(ending)) if name.name != ending else name


def _by_stem(folder: Path) -> dict[PurePosixPath, Path]:
    """Return the pictures below a folder by their names without suffix."""
    found: dict[PurePosixPath, Path] = {}
    for name in pictures_below(folder):
        stem, path = name.with_suffix(""), folder / name
        if stem in found:
            raise DataError(
                f"{printable(path)}: there is {printable(found[stem].name)} as well, and one name "
                "stands for one picture; move one of them away"
            )
        found[stem] = path
    return found
