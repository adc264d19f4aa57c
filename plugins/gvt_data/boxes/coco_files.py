"""Where JSON files and pictures of data in COCO's format are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gvt import DataError
from gvt.printable import printable

from ..splits import SPLITS, split_of
from .pairing import there
from .paths import Locator

_OF_ALL = (
    *("annotations/instances_default.json", "_annotations.coco.json", "annotations.json"),
    *("instances.json", "labels.json"),
)

_BESIDE = ("_annotations.coco.json", "annotations.json")
"""Files in the folder of a split's pictures, the likeliest first."""

_LOOKED_FOR = 100
"""Pictures by which a folder is judged."""


@dataclass(frozen=True)
class Files:
    """The JSON files.

    Attributes:
        by_split: Of each split that has one its file.
        single: Whether that is one for all, whose pictures are shared out.
    """

    by_split: Mapping[str, Path]
    single: bool

    @property
    def own(self) -> Sequence[str]:
        """The splits that have a file of their own."""
        return () if self.single else tuple(self.by_split)


def split_files(root: Path, given: str | Mapping[str, str] | None, expected: str) -> Files:
    """Return the files of the splits.

    Args:
        root: The folder.
        given: A file below the root, perhaps with `{split}` in its name, or one by split; found by
            its usual names unless given.
        expected: What is said where there is none.

    Raises:
        DataError: If there is none.
    """
    if given is None:
        return _usual(root, expected)
    if isinstance(given, str) and "{split}" not in given:
        given = dict.fromkeys(SPLITS, given)
        single = True
    else:
        single = False
        if isinstance(given, str):
            pattern = given
            given = {split: pattern.replace("{split}", split) for split in SPLITS}
            given = {s: name for s, name in given.items() if there(root / name)}
            if not given:
                raise DataError(f"data.annotations: no file {printable(root / pattern)}")
    for split, name in given.items():
        if split not in SPLITS:
            raise DataError(f"data.annotations: no split is called {printable(split)}")
        if not there(root / name):
            raise DataError(f"data.annotations: there is no file {printable(root / name)}")
    return Files({split: root / name for split, name in given.items()}, single)


def _usual(root: Path, expected: str) -> Files:
    by_split = {split: file for split in SPLITS if (file := _of_split(root, split)) is not None}
    if by_split:
        return Files(by_split, single=False)
    places = [root / name for name in _OF_ALL if there(root / name)]
    places = places or [*_json_in(root), *_json_in(root / "annotations")]
    if not places:
        raise DataError(f"data.root: no JSON file of COCO's in {str(root)!r}; {expected}")
    if len(places) > 1:
        raise DataError(
            f"data.annotations: there are {_names(places)}; say which, data.annotations=NAME, or "
            "which for each split, data.annotations={train: NAME, val: NAME}"
        )
    return Files(dict.fromkeys(SPLITS, places[0]), single=True)


def _of_split(root: Path, split: str) -> Path | None:
    """Return a split's file by its usual names, which may have any case; None if there is none."""
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
                f"data.annotations: {_names(paths)} are all called like the split {split}; say "
                f"which, data.annotations={{{split}: NAME, ...}}"
            )
        if paths:
            return paths[0]
    return None


def _rank(path: Path) -> int:
    """Return which files of one split come first: COCO's own names, and its later year."""
    year = next((at for at, year in enumerate(("2017", "2014")) if path.stem.endswith(year)), 2)
    own = path.stem.startswith("instances_") or path.name == _BESIDE[0]
    return year + (0 if own else 3)


def _json_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def _folders_in(root: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted."""
    return sorted(path for path in root.glob("*") if path.is_dir())


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(printable(path) for path in paths)


def pictures_in(locator: Locator, split: str, file: Path, names: Sequence[str]) -> Path | None:
    """Return the folder of a split's pictures; None if none of the usual ones has any of these.

    Args:
        locator: Of the folder that has the pictures.
        split: The split.
        file: The split's JSON file, beside which they may be.
        names: Of the pictures below the folder.
    """
    root, own = locator.root, file.stem.removeprefix("instances_")
    called = [folder.name for folder in (*_folders_in(root), *_folders_in(root / "images"))]
    folders = [file.parent]
    for name in dict.fromkeys((own, *(name for name in called if split_of(name) == split))):
        folders += [root / name, root / "images" / name, root / name / "images"]
    folders += [root / "images", root / "JPEGImages", root]
    first = names[:_LOOKED_FOR]
    return next((f for f in folders if any(locator.has(name, f) for name in first)), None)
