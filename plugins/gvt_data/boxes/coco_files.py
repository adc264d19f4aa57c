"""Where JSON files and pictures of data in COCO's format are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gvt import DataError
from gvt.printable import printable

from ..splits import SPLITS
from .pairing import there

_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}

_OF_A_SPLIT = (
    *("annotations/instances_{}2017.json", "annotations/instances_{}2014.json"),
    *("annotations/instances_{}.json", "annotations/{}.json"),
    *("{}/_annotations.coco.json", "{}/annotations.json", "{}.json"),
)

_OF_ALL = (
    *("annotations/instances_default.json", "_annotations.coco.json", "annotations.json"),
    *("instances.json", "labels.json"),
)

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
    found = {}
    for split, names in _NAMES.items():
        places = [root / pattern.format(name) for pattern in _OF_A_SPLIT for name in names]
        file = next(filter(there, places), None)
        if file is not None:
            found[split] = file
    if found:
        return Files(found, single=False)
    places = [root / name for name in _OF_ALL if there(root / name)]
    places = places or [*sorted(root.glob("*.json")), *sorted(root.glob("annotations/*.json"))]
    if not places:
        raise DataError(f"data.root: no JSON file of COCO's in {str(root)!r}; {expected}")
    if len(places) > 1:
        names = ", ".join(printable(path) for path in places)
        raise DataError(f"data.annotations: there are {names}; say which, data.annotations=NAME")
    return Files(dict.fromkeys(SPLITS, places[0]), single=True)


def pictures_in(
    root: Path, split: str, given: str | None, file: Path, names: Sequence[str]
) -> Path:
    """Return the folder of a split's pictures.

    Args:
        root: The data set's folder.
        split: The split.
        given: The folder below the root, perhaps with `{split}` in it.
        file: The split's JSON file, beside which they may be.
        names: Of the pictures below the folder.

    Raises:
        DataError: If there is no such folder, or none of the usual ones has a picture of these.
    """
    if given is not None:
        folder = root / given.replace("{split}", split)
        if not folder.is_dir():
            raise DataError(f"data.images: there is no folder {printable(folder)}")
        return folder
    own = file.stem.removeprefix("instances_")
    folders = [file.parent]
    for name in (own, *_NAMES[split]):
        folders += [root / name, root / "images" / name, root / name / "images"]
    folders += [root / "images", root / "JPEGImages", root]
    for folder in folders:
        if any(there(folder / name) for name in names[:_LOOKED_FOR]):
            return folder
    raise DataError(
        f"data.images: none of the pictures of {printable(file)} ({printable(names[0])}, ...) was "
        f"found below {str(root)!r}; say in which folder they are, data.images=NAME"
    )
