"""Locate the JSON files and the image folders of data in COCO's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gvt import DataError
from gvt.printable import printable

from ..splits import SPLITS, split_of
from .pairing import there
from .paths import Locator

_SINGLE = (
    *("annotations/instances_default.json", "_annotations.coco.json", "annotations.json"),
    *("instances.json", "labels.json"),
)
"""Usual names of a single file for all splits."""

_BESIDE = ("_annotations.coco.json", "annotations.json")
"""Usual names of a file in the folder of a split's images, the likeliest first."""

_SAMPLE = 100
"""The number of images that are looked for in a candidate folder."""


@dataclass(frozen=True)
class Files:
    """The JSON files of a data set.

    Attributes:
        by_split: The file of each split that has one.
        single: Whether it is a single file for all splits.
    """

    by_split: Mapping[str, Path]
    single: bool

    @property
    def separate(self) -> Sequence[str]:
        """The splits that have a separate file."""
        return () if self.single else tuple(self.by_split)


def split_files(root: Path, annotations: str | Mapping[str, str] | None, expected: str) -> Files:
    """Return the JSON files of the splits.

    Args:
        root: Folder of the data set.
        annotations: A file below the root, which may have `{split}` in its name, or a mapping by
            split; None to try the usual names.
        expected: Description of the layout, for the error if there is no file.

    Raises:
        DataError: If there is no file, or several may be meant.
    """
    if annotations is None:
        return _usual_files(root, expected)
    single = isinstance(annotations, str) and "{split}" not in annotations
    if isinstance(annotations, str):
        names = {split: annotations.replace("{split}", split) for split in SPLITS}
        if not single:
            names = {split: name for split, name in names.items() if there(root / name)}
        if not names:
            raise DataError(f"data.annotations: there is no file {printable(root / annotations)}")
    else:
        names = dict(annotations)
    for split, name in names.items():
        if split not in SPLITS:
            raise DataError(f"data.annotations: no split is called {printable(split)}")
        if not there(root / name):
            raise DataError(f"data.annotations: there is no file {printable(root / name)}")
    return Files({split: root / name for split, name in names.items()}, single)


def _usual_files(root: Path, expected: str) -> Files:
    by_split = {split: file for split in SPLITS if (file := _usual_file(root, split)) is not None}
    if by_split:
        return Files(by_split, single=False)
    paths = [root / name for name in _SINGLE if there(root / name)]
    paths = paths or [*_json_in(root), *_json_in(root / "annotations")]
    if not paths:
        raise DataError(f"data.root: no JSON file in COCO's format in {str(root)!r}; {expected}")
    if len(paths) > 1:
        raise DataError(
            f"data.annotations: there are {_joined(paths)}; choose one, data.annotations=NAME, or "
            "one for each split, data.annotations={train: NAME, val: NAME}"
        )
    return Files(dict.fromkeys(SPLITS, paths[0]), single=True)


def _usual_file(root: Path, split: str) -> Path | None:
    """Return a split's file with one of the usual names, in any case; None if there is none."""
    for files in (
        [(path.stem.removeprefix("instances_"), path) for path in _json_in(root / "annotations")],
        [(folder.name, folder / name) for folder in _folders_in(root) for name in _BESIDE],
        [(path.stem, path) for path in _json_in(root)],
    ):
        paths = [path for name, path in files if split_of(name) == split and there(path)]
        first = min(map(_rank, paths), default=0)
        paths = [path for path in paths if _rank(path) == first]
        if len(paths) > 1:
            raise DataError(
                f"data.annotations: {_joined(paths)} are all called like the split {split}; choose "
                f"one, data.annotations={{{split}: NAME, ...}}"
            )
        if paths:
            return paths[0]
    return None


def _rank(path: Path) -> int:
    """Return a sort key: files with COCO's own names come first, then the later year."""
    year = next((at for at, year in enumerate(("2017", "2014")) if path.stem.endswith(year)), 2)
    official = path.stem.startswith("instances_") or path.name == _BESIDE[0]
    return year + (0 if official else 3)


def _json_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def _folders_in(root: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted."""
    return sorted(path for path in root.glob("*") if path.is_dir())


def _joined(paths: Sequence[Path]) -> str:
    return ", ".join(printable(path) for path in paths)


def pictures_in(locator: Locator, split: str, file: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of a split's images; None if none of the usual folders contains any.

    Args:
        locator: Locator of files below the data set's root.
        split: The split.
        file: The split's JSON file, whose folder may contain the images.
        names: Paths of the images relative to their folder.
    """
    root, stem = locator.root, file.stem.removeprefix("instances_")
    subfolders = [folder.name for folder in (*_folders_in(root), *_folders_in(root / "images"))]
    folders = [file.parent]
    for name in dict.fromkeys((stem, *(name for name in subfolders if split_of(name) == split))):
        folders += [root / name, root / "images" / name, root / name / "images"]
    folders += [root / "images", root / "JPEGImages", root]
    sample = names[:_SAMPLE]
    return next((f for f in folders if any(locator.has(name, f) for name in sample)), None)
