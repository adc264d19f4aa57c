"""Pair images with the files that annotate them, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gvt import DataError
from gvt.printable import printable

from ..listing import composed, composed_path, files_below, pictures_below
from ..splits import by_split_folder, split_folders, split_of

IMAGES = ("images", "image", "imgs", "img", "jpegimages")
"""Names of image folders, in lower case."""


@dataclass(frozen=True)
class Paired:
    """An image and its annotation file, one of which may be missing.

    Attributes:
        name: Their common name, without suffix and without the folders of images and annotations.
            A split's folder comes first.
        image: The image file, or its expected path.
        text: The annotation file, or its expected path.
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
    """Return the pairs of each split that has a folder; all are `train` if none has.

    ROOT/images/1.jpg is paired with ROOT/labels/1.txt, also with a split's folder below or above
    (ROOT/images/train/1.jpg or ROOT/train/images/1.jpg). Both may be in one folder.

    Args:
        root: The folder.
        suffix: Suffix of the annotation files, such as `.txt`.
        folders: Possible names of a folder of annotation files, in lower case.
        never: Stems of files with this suffix that are not annotations unless an image has the
            same name.

    Raises:
        DataError: If there are no images, two have the same name, or some are outside the splits'
            folders.
    """
    images = _by_name(root, pictures_below(root), IMAGES)
    texts = _by_name(root, files_below(root, {suffix}), folders)
    if not images:
        raise DataError(f"data.root: no images in {str(root)!r}")
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
    files: Sequence[PurePosixPath],
    folders: Sequence[str],
) -> dict[PurePosixPath, Path]:
    """Return files by the name that they share with their partners, with composed letters.

    If some files are in one of the named folders, all other files are dropped, except those in a
    folder of another split.

    Raises:
        DataError: If two files have the same name, or two folders are the same split.
    """
    parts_by_file = {file: _outside(file, folders) for file in files}
    inside = {file: parts_by_file[file] for file in files if _folder_at(file, folders) is not None}
    splits = {split_of(parts[0]) for parts in inside.values() if len(parts) > 1}
    elsewhere = {
        file: parts
        for file, parts in parts_by_file.items()
        if len(file.parts) > 1 and split_of(file.parts[0]) not in (None, *splits)
    }
    kept = inside | elsewhere if inside else parts_by_file
    split_folders(root, (parts[0] for parts in kept.values() if len(parts) > 1))
    names: dict[PurePosixPath, Path] = {}
    for file, parts in kept.items():
        if len(parts) > 1:
            parts[0] = split_of(parts[0]) or parts[0]
        name = composed_path(PurePosixPath(*parts))
        if name in names:
            raise DataError(
                f"{printable(root / file)}: {printable(names[name])} has the same name; move one "
                "of them away"
            )
        names[name] = root / file
    return names


def _outside(name: PurePosixPath, folders: Sequence[str]) -> list[str]:
    """Return the parts of a path without its suffix and without the named folder."""
    at = _folder_at(name, folders)
    return [part for i, part in enumerate(name.with_suffix("").parts) if i != at]


def _folder_at(name: PurePosixPath, folders: Sequence[str]) -> int | None:
    """Return the index of the first of a path's top two folders that has one of the names."""
    return next((i for i, p in enumerate(name.parts[:-1][:2]) if p.lower() in folders), None)


def _beside(path: Path, folders: Sequence[str], other: str, suffix: str) -> Path:
    """Return the expected path of a file's partner."""
    parts = list(path.with_suffix(suffix).parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() in folders:
            parts[i] = other
            break
    return Path(*parts)


def there(path: Path) -> bool:
    """Return whether a file exists; False for a name that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Return whether a folder exists; False for a name that is too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file, without its byte order mark.

    Raises:
        DataError: If it cannot be read, or is not valid UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not valid UTF-8") from error


def folder_of(root: str, about: str, expected: str) -> Path:
    """Return the folder of a data set.

    Raises:
        DataError: If it does not exist. The message says where to get the data.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise DataError(f"data.root: there is no folder {str(folder)!r}; {about or expected}")
    return folder


def check_classes(classes: Sequence[str] | None) -> None:
    """Check the names of the classes, if any are set.

    Raises:
        ValueError: If the list is empty, or a name occurs twice.
    """
    if classes is not None and (not classes or len({*map(composed, classes)}) < len(classes)):
        raise ValueError(f"classes {list(classes)}: give at least one name, and each name once")


def no_images(folder: Path, split: str) -> DataError:
    """Return the error for a split without images."""
    return DataError(
        f"data.root: split {split} of {str(folder)!r} has no images; put some into a folder "
        f"{split}, or give data.{split} a share"
    )


def relative(root: Path, path: Path) -> str:
    """Return a path relative to the root if it is below it, for messages and fingerprints."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
