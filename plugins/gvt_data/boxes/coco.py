"""Images with boxes and masks in COCO's JSON format."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from gvt import DataError, PathText
from gvt.printable import printable

from ..listing import composed
from ..splits import divided
from .annotation import Annotated, Thing
from .box_set import BoxSet, save_example
from .checks import summary, warn_of_derived
from .coco_document import Picture
from .coco_files import pictures_in, split_files
from .coco_json import CocoFile, categories_of, read_coco, things_of
from .pairing import check_classes, folder_of, there
from .paths import Located, Locator
from .settings import BoxFileParameters, BoxFiles

EXPECTED = (
    "expected are ROOT/annotations/instances_train2017.json with images in ROOT/train2017, or "
    "ROOT/train/_annotations.coco.json beside the images, or another JSON file named by "
    "data.annotations. COCO is at https://cocodataset.org (annotations CC BY 4.0, photographs from "
    "Flickr under their own terms)"
)


class COCO(BoxSet):
    """Images with boxes and masks in JSON files of COCO's format.

    T.-Y. Lin and others (2014), Microsoft COCO: Common Objects in Context,
    https://arxiv.org/abs/1405.0312. Many labelling tools export this format. There is one file for
    each split, or a single one. A split without a file is a share of the training split, or of the
    single file. Masks are polygons or run lengths; an image has masks if all its objects have, and
    `info.left_out` counts the others. Annotations with `iscrowd`, which are areas of several
    objects, are excluded from training, and detections there count neither as correct nor as
    false; `info.left_out` counts them. The classes are the categories of all files, in the order
    of their ids, which are `info.category_ids`.

    Every box is checked when the data is opened. A box that extends beyond its image by a pixel at
    most is clipped without a warning.

    Args:
        split: `train`, `val` or `test`.
        root: Folder of the data set.
        annotations: JSON file below the root; one for each split if its name contains `{split}` or
            if they are a mapping by split. By default, the usual names are tried.
        images: Folder of the images below the root, which may contain `{split}`. By default, the
            usual folders are tried; then each image is matched by the end of its path, with a
            warning.
        classes: Categories to use, in this order; all others are unknown labels.
        masks: Whether to read masks.
        on_error: How problems are handled: bad boxes (no area, outside the image, negative width,
            not a number, unknown category, an outline that cannot be drawn), malformed entries,
            annotations without an image, and images that are missing, unreadable, listed twice, or
            of another size than the file says. `error` stops and lists all; `skip` leaves out the
            box or the image with a warning; `clip` also clips boxes partly outside at the image's
            edge.
        **files: Parameters of `BoxFiles`.

    Raises:
        DataError: If a folder or file is missing, the JSON is not valid, or there is a problem.
        ValueError: If a size, a share or the classes are invalid.
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
        by_split: dict[str, Sequence[Picture]] = dict.fromkeys(sources.separate, ())
        by_split["train" if sources.single else source] = content.images
        pictures = divided(by_split, shares, settings.split_seed, _name)[split]
        if not pictures:
            hint = f"; give data.{split} a share" if split not in by_split else ""
            raise DataError(f"{printable(content.path)}: no images for split {split}{hint}")
        file_split = None if sources.single else source
        locations = _locations(folder, split, images, file_split, content, pictures)
        problems = content.problems_of({picture.id for picture in pictures})
        if repeated:
            problems["repeated category"] = repeated
        things, derived = things_of(content, {n: labels[n] for n in content.categories}, masks)
        warn_of_derived(content.path, derived, "bbox", "outlines")
        annotated, ambiguous = _annotated(content, pictures, locations, things)
        if ambiguous:
            problems["missing image"] = ambiguous
        crowds = sum(thing.ignored for image in annotated for thing in image.things)
        super().__init__(
            split,
            annotated,
            list(names.values()),
            reader,
            settings.on_error,
            problems=problems,
            left_out={"crowd": crowds} if crowds else None,
        )
        self.info = replace(self.info, category_ids=tuple(names))

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a small data set with JSON files, and return the parameters to read it."""
        categories = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
        for split, part in (("train", range(5)), ("val", range(5, 8))):
            (folder / split).mkdir()
            images: list[dict[str, Any]] = []
            objects: list[dict[str, Any]] = []
            for number in part:
                name = f"{number}.png"
                left, top = save_example(folder / split / name, number)
                images.append({"id": number, "file_name": name, "width": 64, "height": 48})
                right, bottom = left + 24, top + 20
                outline = [left, top, right, top, right, bottom, left, bottom]
                ids = {"id": number, "image_id": number, "category_id": (3, 7)[number % 2]}
                if number:
                    objects.append({**ids, "bbox": [left, top, 24, 20], "segmentation": [outline]})
            content = {"images": images, "categories": categories, "annotations": objects}
            (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        return {"root": str(folder)}


def _name(picture: Picture) -> PurePosixPath:
    return PurePosixPath(*picture.parts)


def _locations(
    root: Path,
    split: str,
    images: str | None,
    file_split: str | None,
    content: CocoFile,
    pictures: Sequence[Picture],
) -> Mapping[str, Located]:
    """Return the locations of a file's images, by their names in the file.

    Args:
        root: Folder of the data set.
        split: The split to read.
        images: Folder of the images; None to try the usual folders.
        file_split: The split of all the file's images; None if it contains several splits.
        content: Content of the file.
        pictures: Entries of the images of `split`.

    Raises:
        DataError: If the folder does not exist, or none of the images does.
    """
    entries = pictures if images is not None and "{split}" in images else content.images
    names = [picture.file_name for picture in entries]
    if images is not None:
        root = root / images.replace("{split}", split)
        if not root.is_dir():
            raise DataError(f"data.images: there is no folder {printable(root)}")
        return Locator(root, file_split).files(names, content.path, root)
    locator = Locator(root, file_split)
    base = pictures_in(locator, file_split or split, content.path, names)
    locations = locator.files(names, content.path, base)
    if not any(location.reason or there(location.path) for location in locations.values()):
        raise DataError(
            f"data.images: none of the images of {printable(content.path)} "
            f"({printable(names[0])}, ...) was found below {str(root)!r}; give their folder with "
            "data.images=NAME"
        )
    return locations


def _annotated(
    content: CocoFile,
    pictures: Sequence[Picture],
    locations: Mapping[str, Located],
    things: Mapping[int, Sequence[Thing]],
) -> tuple[list[Annotated], list[str]]:
    """Return the images with their objects, and the reasons for ambiguous file names."""
    annotated, ambiguous = [], []
    for picture in pictures:
        name, location = picture.file_name, locations[picture.file_name]
        if location.reason:
            ambiguous.append(f"{content.name}: {location.reason}")
            continue
        objects = tuple(things.get(picture.id, ()))
        annotated.append(
            Annotated(name, location.path, content.path.name, objects, picture.size, picture.id)
        )
    return annotated, ambiguous


def _classes(
    paths: Collection[Path], classes: Sequence[str] | None
) -> tuple[Mapping[int, str], Mapping[int, str], list[str]]:
    """Return the names of the classes by category id, in order, and the label of each category.

    If categories of one file have the same name, those without objects are ignored. If several of
    them have objects, the first is the class, and the labels of the others are unknown.

    Args:
        paths: The files of all splits.
        classes: Names of the classes to use; None for all categories.

    Returns:
        The names, the labels, and messages about several categories of one name with objects.

    Raises:
        DataError: If the files contradict each other, or have no category with one of the names.
    """
    categories = {path: categories_of(path) for path in sorted(paths)}
    labels: dict[int, str] = {}
    for path, names in categories.items():
        for number, name in names.items():
            if labels.setdefault(number, name) != name:
                raise DataError(
                    f"{printable(path)}: category {number} is {printable(name)}, but "
                    f"{printable(labels[number])} in another split's file"
                )
    numbers: dict[str, list[int]] = {}
    for number, name in sorted(labels.items()):
        numbers.setdefault(name, []).append(number)
    repeated = {name: ids for name, ids in numbers.items() if len(ids) > 1}
    places = []
    used = frozenset(n for path in paths for n in read_coco(path).used) if repeated else frozenset()
    for name, ids in repeated.items():
        if not any({*ids} <= {*names} for names in categories.values()):
            raise DataError(
                f"data.annotations: category {printable(name)} has different ids in the splits' "
                f"files, {ids[0]} and {ids[1]}"
            )
        numbers[name] = kept = [number for number in ids if number in used] or ids[:1]
        if len(kept) > 1:
            both = " and ".join(map(str, kept))
            places.append(f"categories {both} are all called {printable(name)} and have objects")
        labels |= {number: f"{name}, category_id {number}" for number in kept[1:]}
    if not numbers:
        raise DataError("data.annotations: there are no categories")
    first = {name: ids[0] for name, ids in numbers.items()}
    for name in classes or ():
        if composed(name) not in first:
            names_text = ", ".join(map(printable, first))
            raise DataError(
                f"data.classes: no category is called {printable(name)}; there are {names_text}"
            )
    order = map(composed, classes) if classes else sorted(first, key=first.__getitem__)
    return {first[name]: name for name in order}, labels, places
