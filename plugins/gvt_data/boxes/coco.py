"""Boxes and masks in COCO's JSON, the challenge's or anybody's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from gvt import DataError, PathText
from gvt.printable import printable

from ..listing import composed
from ..splits import divided
from .annotation import Annotated, AssumedWarning, Thing
from .box_set import BoxSet
from .checks import summary
from .coco_document import Picture
from .coco_files import pictures_in, split_files
from .coco_json import CocoFile, categories_of, read_coco, things_of
from .pairing import check_classes, folder_of, there
from .paths import Located, Locator
from .settings import BoxFileParameters, BoxFiles

EXPECTED = (
    "expected are ROOT/annotations/instances_train2017.json with pictures in ROOT/train2017, or "
    "ROOT/train/_annotations.coco.json beside them, or another JSON file that data.annotations "
    "names. COCO is at https://cocodataset.org (annotations CC BY 4.0, photographs from Flickr "
    "under their own terms)"
)


class COCO(BoxSet):
    """Pictures whose boxes and masks are in a JSON file.

    T.-Y. Lin and others (2014), Microsoft COCO: Common Objects in Context,
    https://arxiv.org/abs/1405.0312. Programs for labelling write such files too. There is one for
    each split, or a single one. A split without a file is a share of the training split, or of the
    single one. Masks are polygons or run lengths; a picture has them where all of its objects do,
    and `info.left_out` counts the others. Annotations with `iscrowd`, of areas with several
    objects, are left out of training, and evaluation takes what is found there for neither right
    nor wrong; `info.left_out` counts them.
    Classes are the categories of all files, by their numbers, which `info.category_ids` has.

    Every box is checked when the data is opened; what stands over its image by a pixel at most is
    cut there without a word.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        annotations: A JSON file below the root; with `{split}` in its name, or by split, one for
            each. Unless given, it is found by its usual names.
        images: The folder of pictures below the root, which may have `{split}` in it. Unless
            given, the usual ones are looked through, and then a picture is the file below the root
            whose path ends like the one in the JSON file; a warning says so.
        classes: Those categories that are wanted, in their order; others are unknown labels.
        masks: Whether masks are wanted.
        on_error: What happens to boxes that are bad (without area, outside the image, of negative
            width or what is no number, of an unknown category, or with an outline that cannot be
            drawn), to malformed entries, to annotations of no picture, and to pictures that are
            missing, unreadable, listed twice, or of another size than the file says: `error` stops
            and lists all; `skip` leaves out the box or the picture with a warning; `clip` does so
            too, and cuts boxes that are partly outside at the image's edge.
        **files: Those of `BoxFiles`.

    Raises:
        DataError: If a folder or file is missing, the JSON is broken, or something is bad.
        ValueError: If a size, a share or the classes are impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
        annotations: PathText | dict[str, PathText] | None = None,
        images: PathText | None = None,
        classes: list[str] | None = None,
        masks: bool = True,
        **files: BoxFileParameters,
    ) -> None:
        settings = BoxFiles(**files)
        reader = settings.reader()
        check_classes(classes)
        shares = settings.shares()
        folder = folder_of(root, settings.about, EXPECTED)
        sources = split_files(folder, annotations, EXPECTED)
        source = split if split in sources.by_split else "train"
        if source not in sources.by_split:
            raise DataError(
                f"data.annotations: {str(folder)!r} has no file for split {split}; it has "
                f"{', '.join(printable(path) for path in {*sources.by_split.values()})}"
            )
        content = read_coco(sources.by_split[source])
        if content.problems and not content.images:
            reason = summary(content.problems_of(()))
            raise DataError(f"{printable(content.path)}: no image can be used: {reason}")
        names, labels, repeated = _classes({*sources.by_split.values()}, classes)
        by_folder: dict[str, Sequence[Picture]] = dict.fromkeys(sources.own, ())
        by_folder["train" if sources.single else source] = content.images
        pictures = divided(by_folder, shares, settings.split_seed, _name)[split]
        if not pictures:
            hint = f"; give data.{split} a share" if split not in by_folder else ""
            raise DataError(f"{printable(content.path)}: no pictures for split {split}{hint}")
        of_split = None if sources.single else source
        paths = _located(folder, split, images, of_split, content, pictures)
        problems = content.problems_of({picture.id for picture in pictures})
        if repeated:
            problems["repeated category"] = repeated
        things, derived = things_of(content, {n: labels[n] for n in content.categories}, masks)
        _tell(content.path, derived)
        found, ambiguous = _annotated(content, pictures, paths, things)
        if ambiguous:
            problems["missing image"] = ambiguous
        crowds = sum(thing.ignored for of in found for thing in of.things)
        super().__init__(
            split,
            found,
            list(names.values()),
            reader,
            settings.on_error,
            problems=problems,
            left_out={"crowd": crowds} if crowds else None,
        )
        self.info = replace(self.info, category_ids=tuple(names))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a few pictures with JSON files, and return the parameters that read them."""
        categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
        for split, part in (("train", range(5)), ("val", range(5, 8))):
            (folder / split).mkdir()
            images: list[dict[str, Any]] = []
            objects: list[dict[str, Any]] = []
            for number in part:
                left, top = 4 * number, 5 + number
                pixels = np.random.default_rng(number).integers(0, 100, (48, 64, 3), np.uint8)
                pixels[top : top + 20, left : left + 24] += 150
                name = f"{number}.png"
                Image.fromarray(pixels).save(folder / split / name)
                images.append({"id": number, "file_name": name, "width": 64, "height": 48})
                right, bottom = left + 24, top + 20
                outline = [left, top, right, top, right, bottom, left, bottom]
                of = {"id": number, "image_id": number, "category_id": (3, 7)[number % 2]}
                if number:
                    objects.append({**of, "bbox": [left, top, 24, 20], "segmentation": [outline]})
            content = {"images": images, "categories": categories, "annotations": objects}
            (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        return {"root": str(folder)}


def _name(picture: Picture) -> PurePosixPath:
    return PurePosixPath(*picture.parts)


def _located(
    root: Path,
    split: str,
    images: str | None,
    of_split: str | None,
    content: CocoFile,
    pictures: Sequence[Picture],
) -> Mapping[str, Located]:
    """Return where the pictures of a file are, by the names that it gives them.

    Args:
        root: The data set's folder.
        split: The split that is wanted.
        images: The folder of pictures that is given.
        of_split: The split of all of the file's pictures; None where it has those of several.
        content: The file's contents.
        pictures: Those of the split.

    Raises:
        DataError: If the folder that is given is not there, or none of the pictures is.
    """
    everything = content.images if images is None or "{split}" not in images else pictures
    names = [picture.file_name for picture in everything]
    if images is not None:
        root = root / images.replace("{split}", split)
        if not root.is_dir():
            raise DataError(f"data.images: there is no folder {printable(root)}")
    locator = Locator(root, of_split)
    usual = images is None
    base = pictures_in(locator, of_split or split, content.path, names) if usual else root
    paths = locator.files(names, content.path, base)
    if images is None and not any(place.reason or there(place.path) for place in paths.values()):
        raise DataError(
            f"data.images: none of the pictures of {printable(content.path)} "
            f"({printable(names[0])}, ...) was found below {str(root)!r}; say in which folder they "
            "are, data.images=NAME"
        )
    return paths


def _tell(path: Path, derived: Sequence[str]) -> None:
    """Warn of boxes that are taken from outlines."""
    if derived:
        more = f" and {len(derived) - 1:,} more" if len(derived) > 1 else ""
        warnings.warn(
            f"{printable(path)}: objects without a bbox, whose boxes are those around their "
            f"outlines: {len(derived):,} ({derived[0]}{more})",
            AssumedWarning,
            stacklevel=3,
        )


def _annotated(
    content: CocoFile,
    pictures: Sequence[Picture],
    paths: Mapping[str, Located],
    things: Mapping[int, Sequence[Thing]],
) -> tuple[list[Annotated], list[str]]:
    """Return the pictures with their objects, and why others have no file."""
    found, ambiguous = [], []
    for picture in pictures:
        name, place = picture.file_name, paths[picture.file_name]
        if place.reason:
            ambiguous.append(f"{content.name}: {place.reason}")
            continue
        objects = tuple(things.get(picture.id, ()))
        found.append(
            Annotated(name, place.path, content.path.name, objects, picture.size, picture.id)
        )
    return found, ambiguous


def _classes(
    paths: Collection[Path], wanted: Sequence[str] | None
) -> tuple[Mapping[int, str], Mapping[int, str], list[str]]:
    """Return the names of the classes by number, in their order, and the label of each category.

    Of categories with one name in one file, those without objects do not count. Where several have
    objects, the first is the class, and the labels of the others are unknown.

    Args:
        paths: The files of all splits.
        wanted: The names of the classes that are given.

    Returns:
        The names, the labels, and which categories of one name have objects.

    Raises:
        DataError: If the files do not agree, or have no category of a name that is wanted.
    """
    categories = {path: categories_of(path) for path in sorted(paths)}
    labels: dict[int, str] = {}
    for path, names in categories.items():
        for number, name in names.items():
            if labels.setdefault(number, name) != name:
                raise DataError(
                    f"{printable(path)}: category {number} is {printable(name)}, and in another "
                    f"split's file {printable(labels[number])}"
                )
    numbers: dict[str, list[int]] = {}
    for number, name in sorted(labels.items()):
        numbers.setdefault(name, []).append(number)
    repeated = {name: several for name, several in numbers.items() if len(several) > 1}
    places = []
    used = frozenset(n for path in paths for n in read_coco(path).used) if repeated else frozenset()
    for name, several in repeated.items():
        if not any({*several} <= {*names} for names in categories.values()):
            raise DataError(
                f"data.annotations: the splits' files give category {printable(name)} the "
                f"different numbers {several[0]} and {several[1]}"
            )
        numbers[name] = kept = [n for n in several if n in used] or several[:1]
        if len(kept) > 1:
            both = " and ".join(map(str, kept))
            places.append(f"categories {both} are all called {printable(name)} and have objects")
        labels |= {number: f"{name}, category_id {number}" for number in kept[1:]}
    if not numbers:
        raise DataError("data.annotations: there are no categories")
    first = {name: several[0] for name, several in numbers.items()}
    for name in wanted or ():
        if composed(name) not in first:
            known = ", ".join(map(printable, first))
            raise DataError(
                f"data.classes: no category is called {printable(name)}; there are {known}"
            )
    chosen = map(composed, wanted) if wanted else sorted(first, key=first.__getitem__)
    return {first[name]: name for name in chosen}, labels, places
