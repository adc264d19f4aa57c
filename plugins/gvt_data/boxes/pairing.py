"""Pictures and the files that say what is on them, found below a folder by their names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import composed, composed_path, files_below, pictures_below
from ..splits import by_split_folder, split_folders, split_of

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
"""Names of folders of pictures, in small letters."""


@dataclass(frozen=True)
class Paired:
    """A picture and the file that describes it, one of which may be missing.

    Attributes:
        name: What both are called, without suffix and without the folders of images and
            descriptions; a split's folder comes first.
        image: The picture, or where it would be.
        text: What describes it, or where that would be.
    """

    name: PurePosixPath
    image: Path
    text: Path


def paired_below(
    root: Path,
    suffix: str,
    folders: Sequence[str],
    never: Collection[str] = (),
) -> dict[str, list[Paired]]:
    """Return the pairs of each split that has a folder; all are `train` where none has.

    It takes ROOT/images/1.jpg with ROOT/labels/1.txt, and both with a split's folder below or
    above (ROOT/images/train/1.jpg or ROOT/train/images/1.jpg), and both in one folder.

    Args:
        root: The folder.
        suffix: Of the files that describe pictures, as in `.txt`.
        folders: Names that a folder of these may have, in small letters.
        never: Stems of files of this suffix that describe nothing unless a picture is called so.

    Raises:
        DataError: If there are no pictures, two have one name, or some stand beside the splits.
    """
    images = _by_name(root, pictures_below(root), IMAGES)
    texts = _by_name(root, files_below(root, {suffix}), folders)
    if not images:
        raise DataError(f"data.root: no pictures in {str(root)!r}")
    alone = [n for n in texts if n not in images and n.stem.partition(".")[0].lower() not in never]
    pairs = {
        name: Paired(
            name,
            images.get(name) or _beside(texts[name], folders, "images", ".jpg"),
            texts.get(name) or _beside(images[name], IMAGES, folders[0], suffix),
        )
        for name in sorted([*images, *alone])
    }
    parts = by_split_folder(root, list(pairs))
    return {split: [pairs[name] for name in names] for split, names in parts.items()}


def _by_name(
    root: Path,
    found: Sequence[PurePosixPath],
    folders: Sequence[str],
) -> dict[PurePosixPath, Path]:
    """Return files by what they have in common with their partners: composed names.

    Where some are in a folder of one of the names, others count in folders of other splits alone.

    Raises:
        DataError: If two files have one name, or two folders are one split.
    """
    inside = {
        file: _outside(file, folders) for file in found if _folder_at(file, folders) is not None
    }
    splits = {split_of(parts[0]) for parts in inside.values() if len(parts) > 1}
    shared = inside or {file: _outside(file, folders) for file in found}
    shared |= {
        file: _outside(file, folders)
        for file in found
        if inside and len(file.parts) > 1 and split_of(file.parts[0]) not in (None, *splits)
    }
    split_folders(root, (parts[0] for parts in shared.values() if len(parts) > 1))
    names: dict[PurePosixPath, Path] = {}
    for file, parts in shared.items():
        if len(parts) > 1:
            parts[0] = split_of(parts[0]) or parts[0]
        name = composed_path(PurePosixPath(*parts))
        if name in names:
            raise DataError(
                f"{printable(root / file)}: {printable(names[name])} goes by the same name; move "
                "one of them away"
            )
        names[name] = root / file
    return names


def _outside(name: PurePosixPath, folders: Sequence[str]) -> list[str]:
    """Return the parts of a file without its suffix and the folder of one of these names."""
    at = _folder_at(name, folders)
    return [part for i, part in enumerate(name.with_suffix("").parts) if i != at]


def _folder_at(name: PurePosixPath, folders: Sequence[str]) -> int | None:
    """Return which of the first two folders of a file is one of these names."""
    return next((i for i, p in enumerate(name.parts[:-1][:2]) if p.lower() in folders), None)


def _beside(path: Path, folders: Sequence[str], other: str, suffix: str) -> Path:
    """Return where the partner of a file would be."""
    parts = list(path.with_suffix(suffix).parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() in folders:
            parts[i] = other
            break
    return Path(*parts)


def there(path: Path) -> bool:
    """Return whether there is such a file; of a name that is too long there can be none."""
    try:
        return path.is_file()
    except OSError:
        return False


def folder_of(root: str, about: str, expected: str) -> Path:
    """Return the data set's folder.

    Raises:
        DataError: If there is none; says where the data is to be had.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"data.root: there is no folder {str(folder)!r}; {about or expected}")
    return folder


def check_classes(classes: Sequence[str] | None) -> None:
    """Check given names of classes.

    Raises:
        ValueError: If there are none, or one comes twice.
    """
    if classes is not None and (not classes or len({*map(composed, classes)}) < len(classes)):
        raise ValueError(f"classes {list(classes)}: at least one name, and none of them twice")


def relative(root: Path, path: Path) -> str:
    """Return a path as messages and fingerprints have it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
