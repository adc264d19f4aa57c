"""Where the images and the masks of each split are below a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import is_passed_over

from ..listing import pictures_below
from ..splits import SPLITS, split_folders, split_of

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "label", "annotations")

_MASKS_OF_SPLITS = (*MASKS, "annotation", "annots", "annot", "segmentation", "seg", "gt")
"""What a folder of masks may have behind or before its split, as in `trainannot`."""

_SPLIT = "{split}"

_GIVEN = """'data.images="{split}"' 'data.masks="{split}annot"'"""
"""How both are given in a shell, where a text that begins with a brace needs its quotes."""

_SHOWN = 8

EXPECTED = (
    "expected are images and masks of the same names in two folders (ROOT/images/1.jpg and "
    "ROOT/masks/1.png), and these perhaps in folders train, val and test (ROOT/train/images/1.jpg "
    "or ROOT/images/train/1.jpg); folders beside each other (ROOT/train and ROOT/trainannot) are "
    f"given as {_GIVEN}"
)


@dataclass(frozen=True)
class Place:
    """Two folders that belong together.

    Attributes:
        images: The folder of images.
        masks: The folder of their masks, or where it would be.
    """

    images: Path
    masks: Path


@dataclass(frozen=True)
class Folders:
    """How the folders of images and masks are called.

    Attributes:
        images: The folder of images below the root or below each split's folder, or with
            `{split}` in it one for each split; found by its usual names unless given.
        masks: The same of masks.
    """

    images: str | None = None
    masks: str | None = None

    def of_splits(self, root: Path) -> Mapping[str, Place]:
        """Return the folders of each split that has its own, none if there are no such.

        Raises:
            DataError: If there are two of one kind, or a split's folder would not be read.
        """
        if _SPLIT in f"{self.images}{self.masks}":
            places = self._by_pattern(root)
        else:
            places = self._inside(root) or self._beside(root)
        self._check_read(root, places)
        return places

    def of_all(self, root: Path) -> Place:
        """Return the folders that are directly in a root.

        Raises:
            DataError: If one is missing, or there are several.
        """
        images = _only(root, "images", self.images, IMAGES)
        return Place(images, _only(root, "masks", self.masks, MASKS))

    def _inside(self, root: Path) -> dict[str, Place]:
        """Return the folders that are within each split's, as ROOT/train/images."""
        bases = [
            folder
            for folder in _folders_in(root)
            if split_of(folder.name) and _candidates(folder, self.images, IMAGES)
        ]
        named = split_folders(root, (base.name for base in bases))
        if not named:
            return {}
        if outside := _candidates(root, self.images, IMAGES):
            raise DataError(
                f"data.images: {str(root)!r} has {printable(outside[0].name)} beside the split "
                f"{printable(min(named.values()))}, which has images of its own; move one away"
            )
        masks = {
            split: _candidates(root / name, self.masks, MASKS) for split, name in named.items()
        }
        if not any(masks.values()):
            _only(root / next(iter(named.values())), "masks", self.masks, MASKS)
        return {
            split: Place(
                _only(root / name, "images", self.images, IMAGES),
                _only(root / name, "masks", self.masks, MASKS)
                if masks[split]
                else root / name / (self.masks or MASKS[0]),
            )
            for split, name in named.items()
        }

    def _beside(self, root: Path) -> dict[str, Place]:
        """Return the folders that are beside each other, as ROOT/train and ROOT/trainannot."""
        if self.images or self.masks or _candidates(root, None, IMAGES):
            return {}
        by_role: dict[tuple[str, str], Path] = {}
        for folder in _folders_in(root):
            role = _role(folder.name)
            if role is not None and (other := by_role.setdefault(role, folder)) != folder:
                raise DataError(
                    f"data.{role[1]}: {printable(other.name)} and {printable(folder.name)} in "
                    f"{str(root)!r} may both be {role[1]} of the split {role[0]}; say which, as in "
                    f"{_GIVEN}"
                )
        images, masks = (
            {split: by_role[split, role] for split in SPLITS if (split, role) in by_role}
            for role in ("images", "masks")
        )
        missing = {split: root / f"{split}_masks" for split in SPLITS}
        return _joined(images, masks, missing) if images.keys() & masks.keys() else {}

    def _by_pattern(self, root: Path) -> dict[str, Place]:
        """Return the folders that have the names of splits where the parameters have `{split}`."""
        images, masks = self.images or _SPLIT, self.masks
        if masks is None or _SPLIT not in images or _SPLIT not in masks:
            raise DataError(
                "data.images and data.masks: with {split} in one, the other needs it, too, as in "
                f"{_GIVEN}"
            )
        found = _matching(root, images), _matching(root, masks)
        for parameter, pattern, folders in zip(
            ("images", "masks"), (images, masks), found, strict=True
        ):
            if not folders:
                raise DataError(
                    f"data.{parameter}: no folder in {str(root)!r} is called {pattern!r} with a "
                    f"split's name in it, such as train or val{_listed(root)}"
                )
        return _joined(*found, {split: root / masks.replace(_SPLIT, split) for split in SPLITS})

    def _check_read(self, root: Path, places: Mapping[str, Place]) -> None:
        """Check that no folder is called like a split and is none of those that are read.

        Raises:
            DataError: If one is.
        """
        if not places and self.images is not None:
            return  # exactly what is read was given
        used = [path for place in places.values() for path in (place.images, place.masks)]
        for folder in _folders_in(root):
            is_split = _role(folder.name) if places else split_of(folder.name)
            read = any(folder == path or folder in path.parents for path in used)
            if is_split and not read and pictures_below(folder):
                raise DataError(
                    f"data.root: {printable(folder)} is called like a split, and would not be "
                    "read; give it folders of images and masks like the others, move it away, or "
                    f"say what is read, data.images=NAME data.masks=NAME; {EXPECTED}"
                )


def _joined(
    images: Mapping[str, Path], masks: Mapping[str, Path], missing: Mapping[str, Path]
) -> dict[str, Place]:
    """Return the folders of each split.

    Args:
        images: The folder of each split's images.
        masks: That of its masks.
        missing: Where these would be.

    Raises:
        DataError: If there are masks of a split without images.
    """
    for split in masks.keys() - images.keys():
        raise DataError(f"data.images: {printable(masks[split])} has no folder of images beside it")
    return {split: Place(path, masks.get(split, missing[split])) for split, path in images.items()}


def _role(name: str) -> tuple[str, str] | None:
    """Return the split of a folder called like one, and whether `images` or `masks` are in it."""
    if split := split_of(name):
        return split, "images"
    folded = name.casefold()
    for role, words in (("images", IMAGES), ("masks", _MASKS_OF_SPLITS)):
        for word in words:
            for rest in (folded.removesuffix(word), folded.removeprefix(word)):
                if rest != folded and (split := split_of(rest.strip("-_. "))):
                    return split, role
    return None


def _matching(root: Path, pattern: str) -> dict[str, Path]:
    """Return by split the folders whose names are a pattern with the name of a split."""
    before, *after = PurePosixPath(pattern).as_posix().split(_SPLIT)
    expression = re.escape(before) + "(?P<split>[^/]+)" + "(?P=split)".join(map(re.escape, after))
    names: dict[str, Path] = {}
    for path in sorted(root.glob("*".join(map(escape, (before, *after))))):
        match = re.fullmatch(expression, path.relative_to(root).as_posix())
        if match and path.is_dir():
            names[match["split"]] = path
    return {split: names[name] for split, name in split_folders(root, names).items()}


def _candidates(base: Path, given: str | None, usual: Sequence[str]) -> list[Path]:
    """Return the folders of a base that have the given name, or a usual one if none is given."""
    if given is not None:
        return [base / given] if (base / given).is_dir() else []
    return [folder for folder in _folders_in(base) if folder.name.casefold() in usual]


def _only(base: Path, what: str, given: str | None, usual: Sequence[str]) -> Path:
    """Return the only folder of a base with the given name, or a usual one if none is given.

    Raises:
        DataError: If there is none, or several.
    """
    candidates = _candidates(base, given, usual)
    if not candidates:
        raise DataError(
            f"data.{what}: {str(base)!r} has no folder {given or ' or '.join(usual[:2])}"
            f"{_listed(base)}; {EXPECTED}; other names: data.{what}=NAME"
        )
    if len(candidates) > 1:
        names = " and ".join(printable(path.name) for path in candidates)
        raise DataError(f"data.{what}: {str(base)!r} has {names}; say which, data.{what}=NAME")
    return candidates[0]


def _folders_in(base: Path) -> Iterable[Path]:
    """Return the folders that are directly in another one, sorted."""
    return sorted(p for p in base.iterdir() if p.is_dir() and not is_passed_over(p.name))


def _listed(base: Path) -> str:
    """Return the names of the folders in another one, for a message."""
    names = [printable(folder.name) for folder in _folders_in(base)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" (it has {', '.join(names[:_SHOWN])}{more})" if names else ""
