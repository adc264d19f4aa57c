"""Boxes and masks in COCO's JSON, the challenge's or anybody's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated as Constrained
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from gvt import DataError, PathText, PictureReader
from gvt.pictures.fitting import Fit
from gvt.printable import printable

from ..splits import check_shares, divided
from .annotation import Annotated
from .box_set import BoxSet
from .checks import OnError
from .coco_files import pictures_in, split_files
from .coco_json import CocoFile, Picture, categories_of, read_coco
from .pairing import check_classes, folder_of

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
    each split, or a single one, of whose pictures `val` and `test` are shares. Masks are polygons
    or run lengths; a picture has them where all of its objects do, and `left_out` counts the
    others. Annotations with `iscrowd`, of areas with several objects, are left out of
    training, and evaluation takes what is found there for neither right nor wrong; `left_out`
    counts them.
    Classes are the categories of all files, by their numbers, which `category_ids` has.

    Every box is checked when the data is opened; what stands over its image by a pixel at most is
    cut there without a word.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        annotations: A JSON file below the root; with `{split}` in its name, or by split, one for
            each. Unless given, it is found by its usual names.
        images: The folder of pictures below the root, which may have `{split}` in it. Unless
            given, the usual ones are looked through.
        classes: Those categories that are wanted, in their order; others are unknown labels.
        masks: Whether masks are wanted.
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given. Boxes and masks go with it.
        fit: How a picture meets a size of another shape: `crop`, which cuts boxes at the edge of
            what is left, and loses those outside, `pad`, `stretch` or `within`.
        channels: 1 for grey, 3 for colour.
        val: The share of the pictures that is `val`, where a single file has all. The choice
            depends on the seed and each picture's own name.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to boxes that are bad (without area, outside the image, of negative
            width or what is no number, of an unknown category, or with an outline that cannot be
            drawn), to annotations of no picture, and to pictures that are missing, unreadable, or
            of another size than the file says: `error` stops; `skip` leaves out the box or the
            picture with a warning; `clip` does so too, and cuts boxes that are partly outside at
            the image's edge.
        about: What is said where the folder is absent: source, licence, layout.

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
        size: int | tuple[int, int] | None = None,
        fit: Fit = "crop",
        channels: Literal[1, 3] = 3,
        val: Constrained[float, Field(ge=0, lt=1)] = 0.2,
        test: Constrained[float, Field(ge=0, lt=1)] = 0.0,
        split_seed: int = 0,
        on_error: OnError = "error",
        about: str = "",
    ) -> None:
        reader = PictureReader(channels, (size, size) if isinstance(size, int) else size, fit)
        check_classes(classes)
        shares = {"val": val, "test": test}
        check_shares(shares)
        folder = folder_of(root, about, EXPECTED)
        files = split_files(folder, annotations, EXPECTED)
        if split not in files.by_split:
            raise DataError(
                f"data.annotations: {str(folder)!r} has no file for split {split}; it has "
                f"{', '.join(printable(path) for path in {*files.by_split.values()})}"
            )
        content = read_coco(files.by_split[split], masks)
        others = {*files.by_split.values()} - {content.path}
        categories = {path: categories_of(path) for path in others}
        names = _classes({**categories, content.path: content.categories}, classes)
        pictures = content.images
        if files.single:
            parts = divided({"train": pictures}, shares, split_seed, _name)
            pictures = parts[split]
        if not pictures:
            hint = f"; give data.{split} a share" if files.single and split != "train" else ""
            raise DataError(f"{printable(content.path)}: no pictures for split {split}{hint}")
        place = pictures_in(folder, split, images, content.path, [p.file_name for p in pictures])
        found = [_annotated(content, picture, place) for picture in pictures]
        crowds = sum(thing.ignored for of in found for thing in of.things)
        super().__init__(
            split,
            found,
            list(names.values()),
            reader,
            on_error,
            problems={"annotation of an unknown image": content.lost},
            left_out={"crowd": crowds} if crowds else None,
        )
        self.category_ids = tuple(names)

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
    return PurePosixPath(picture.file_name)


def _annotated(content: CocoFile, picture: Picture, folder: Path) -> Annotated:
    return Annotated(
        picture.file_name,
        folder / picture.file_name,
        content.path.name,
        tuple(content.things.get(picture.id, ())),
        picture.size,
        picture.id,
    )


def _classes(
    categories: Mapping[Path, Mapping[int, str]], wanted: Sequence[str] | None
) -> Mapping[int, str]:
    """Return of each class its number and name, in their order, from those in all splits' files.

    Raises:
        DataError: If the files do not agree, or have no category of a name that is wanted.
    """
    found: dict[int, str] = {}
    for path, names in sorted(categories.items()):
        for number, name in names.items():
            if found.setdefault(number, name) != name:
                raise DataError(
                    f"{printable(path)}: category {number} is {printable(name)}, and in another "
                    f"split's file {printable(found[number])}"
                )
    numbers = {name: number for number, name in sorted(found.items())}
    if len(numbers) < len(found):
        raise DataError("data.annotations: the splits' files give one category different numbers")
    if not numbers:
        raise DataError("data.annotations: there are no categories")
    for name in wanted or ():
        if name not in numbers:
            known = ", ".join(map(printable, numbers))
            raise DataError(
                f"data.classes: no category is called {printable(name)}; there are {known}"
            )
    return {numbers[name]: name for name in (wanted or numbers)}
