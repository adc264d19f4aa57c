"""The folders of images and masks of each split below a root."""

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
"""Words after or before the split in the name of a folder of masks, as in `trainannot`."""

_SPLIT = "{split}"

_GIVEN = """'data.images="{split}"' 'data.masks="{split}annot"'"""
"""Example of both overrides in a shell, where text that begins with a brace needs quotes."""

_SHOWN = 8
"""Folders listed in a message."""

EXPECTED = (
    "expected: images and masks with the same names in two folders (ROOT/images/1.jpg and "
    "ROOT/masks/1.png), optionally in folders train, val and test (ROOT/train/images/1.jpg or "
    "ROOT/images/train/1.jpg); for folders side by side (ROOT/train and ROOT/trainannot) give "
    f"{_GIVEN}"
)


@dataclass(frozen=True)
class Place:
    """A folder of images and a folder of their masks.

    Attributes:
        images: Folder of images.
        masks: Folder of their masks, which may not exist.
    """

    images: Path
    masks: Path


@dataclass(frozen=True)
class Folders:
    """Names of the folders of images and masks.

    Attributes:
        images: Folder of images below the root or below the folder of each split, or a pattern
            with `{split}`; searched by the usual names by default.
        masks: Folder of masks, likewise.
    """

    images: str | None = None
    masks: str | None = None

    def of_splits(self, root: Path) -> Mapping[str, Place]:
        """Return the folders of each split that has its own; empty if no split has.

        Raises:
            DataError: If there are two folders of one kind, or a split's folder would not be read.
        """
        if _SPLIT in f"{self.images}{self.masks}":
            places = self._by_pattern(root)
        else:
            places = self._inside(root) or self._beside(root)
        self._check_read(root, places)
        return places

    def of_all(self, root: Path) -> Place:
        """Return the folders directly in a root.

        Raises:
            DataError: If one is missing or ambiguous.
        """
        images = _only(root, "images", self.images, IMAGES)
        return Place(images, _only(root, "masks", self.masks, MASKS))

    def _inside(self, root: Path) -> dict[str, Place]:
        """Return the folders inside those of the splits, as in ROOT/train/images."""
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
                f"{printable(min(named.values()))}, which also has images; move one of them away"
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
        """Return the folders that are side by side, as in ROOT/train and ROOT/trainannot."""
        if self.images or self.masks or _candidates(root, None, IMAGES):
            return {}
        by_role: dict[tuple[str, str], Path] = {}
        for folder in _folders_in(root):
            role = _role(folder.name)
            if role is not None and (other := by_role.setdefault(role, folder)) != folder:
                raise DataError(
                    f"data.{role[1]}: {printable(other.name)} and {printable(folder.name)} in "
                    f"{str(root)!r} may both be the {role[1]} of split {role[0]}; choose one, as "
                    f"in {_GIVEN}"
                )
        images, masks = (
            {split: by_role[split, role] for split in SPLITS if (split, role) in by_role}
            for role in ("images", "masks")
        )
        missing = {split: root / f"{split}_masks" for split in SPLITS}
        return _joined(images, masks, missing) if images.keys() & masks.keys() else {}

    def _by_pattern(self, root: Path) -> dict[str, Place]:
        """Return the folders that match the patterns with `{split}`."""
        images, masks = self.images or _SPLIT, self.masks
        if masks is None or _SPLIT not in images or _SPLIT not in masks:
            raise DataError(
                "data.images and data.masks: {split} in one needs {split} in the other, as in "
                f"{_GIVEN}"
            )
        folders = {"images": _matching(root, images), "masks": _matching(root, masks)}
        for parameter, pattern in (("images", images), ("masks", masks)):
            if not folders[parameter]:
                raise DataError(
                    f"data.{parameter}: no folder in {str(root)!r} matches {pattern!r} with the "
                    f"name of a split, such as train or val{_listed(root)}"
                )
        missing = {split: root / masks.replace(_SPLIT, split) for split in SPLITS}
        return _joined(folders["images"], folders["masks"], missing)

    def _check_read(self, root: Path, places: Mapping[str, Place]) -> None:
        """Check that every folder that is named like a split is read.

        Raises:
            DataError: If one is not.
        """
        if not places and self.images is not None:
            return  # the folder was chosen explicitly
        paths = [path for place in places.values() for path in (place.images, place.masks)]
        for folder in _folders_in(root):
            is_split = _role(folder.name) if places else split_of(folder.name)
            is_read = any(folder == path or folder in path.parents for path in paths)
            if is_split and not is_read and pictures_below(folder):
                raise DataError(
                    f"data.root: {printable(folder)} is named like a split but would not be read; "
                    "give it folders of images and masks like the other splits, move it away, or "
                    f"name the folders: data.images=NAME data.masks=NAME; {EXPECTED}"
                )


def _joined(
    images: Mapping[str, Path], masks: Mapping[str, Path], missing: Mapping[str, Path]
) -> dict[str, Place]:
    """Return the folders of each split.

    Args:
        images: Folder of images of each split.
        masks: Folder of masks of each split.
        missing: Expected folder of masks of each split.

    Raises:
        DataError: If a split has masks but no images.
    """
    for split in masks.keys() - images.keys():
        raise DataError(f"data.images: {printable(masks[split])} has no folder of images beside it")
    return {split: Place(path, masks.get(split, missing[split])) for split, path in images.items()}


def _role(name: str) -> tuple[str, str] | None:
    """Return the split that a folder is named after and its content, `images` or `masks`."""
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
    """Return the folders that match a pattern with the name of a split, by split."""
    before, *after = PurePosixPath(pattern).as_posix().split(_SPLIT)
    expression = re.escape(before) + "(?P<split>[^/]+)" + "(?P=split)".join(map(re.escape, after))
    names: dict[str, Path] = {}
    for path in sorted(root.glob("*".join(map(escape, (before, *after))))):
        match = re.fullmatch(expression, path.relative_to(root).as_posix())
        if match and path.is_dir():
            names[match["split"]] = path
    return {split: names[name] for split, name in split_folders(root, names).items()}


def _candidates(base: Path, name: str | None, usual: Sequence[str]) -> list[Path]:
    """Return the folders in a base folder with a name, or with a usual name for None."""
    if name is not None:
        return [base / name] if (base / name).is_dir() else []
    return [folder for folder in _folders_in(base) if folder.name.casefold() in usual]


def _only(base: Path, what: str, name: str | None, usual: Sequence[str]) -> Path:
    """Return the only folder in a base folder with a name, or with a usual name for None.

    Raises:
        DataError: If there is none, or several.
    """
    candidates = _candidates(base, name, usual)
    if not candidates:
        raise DataError(
            f"data.{what}: {str(base)!r} has no folder {name or ' or '.join(usual[:2])}"
            f"{_listed(base)}; {EXPECTED}; for other names give data.{what}=NAME"
        )
    if len(candidates) > 1:
        names = " and ".join(printable(path.name) for path in candidates)
        raise DataError(f"data.{what}: {str(base)!r} has {names}; choose one with data.{what}=NAME")
    return candidates[0]


def _folders_in(base: Path) -> Iterable[Path]:
    """Return the folders directly in a folder, sorted."""
    return sorted(p for p in base.iterdir() if p.is_dir() and not is_passed_over(p.name))


def _listed(base: Path) -> str:
    """Return the names of the folders in a folder, for a message."""
    names = [printable(folder.name) for folder in _folders_in(base)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f" (it has {', '.join(names[:_SHOWN])}{more})" if names else ""
