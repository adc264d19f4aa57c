"""Boxes in YOLO's text files, one beside each picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated as Constrained
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from gvt import DataError, PictureReader
from gvt.pictures.fitting import Fit

from ..broken import threads
from ..splits import check_shares, divided
from .annotation import Annotated
from .box_set import MASKS, BoxSet
from .checks import OnError
from .pairing import check_classes, folder_of, paired_below, relative, there
from .yolo_splits import NO_LABELS, named_pairs
from .yolo_text import described, read_labels

EXPECTED = (
    "expected are pictures and text files of the same names in folders images and labels "
    "(ROOT/images/train/1.jpg and ROOT/labels/train/1.txt, or ROOT/train/images/1.jpg and "
    "ROOT/train/labels/1.txt) or in one, and data.yaml with the classes' names"
)


class YOLO(BoxSet):
    """Pictures with a text file each that has their boxes, a line `class x y width height` each.

    J. Redmon and others (2016), You Only Look Once, https://arxiv.org/abs/1506.02640, in the layout
    of Ultralytics. Classes are numbers from 0; x and y are the box's centre, and all four are
    shares of the picture's width and height. A line with more numbers, `class x1 y1 x2 y2 x3 y3`
    and on, is an outline, and its box is the one around it. A picture without a text file has no
    objects. The splits are what data.yaml names as `train`, `val` (or `valid`) and `test`: a
    folder, a text file with a picture on each line, or a list of these. Where it names none they
    are folders of these names. Otherwise `val` and `test` are shares.

    Every box is checked when the data is opened; what stands over its image by a pixel at most is
    cut there without a word.

    Args:
        split: `train`, `val` or `test`.
        root: The folder.
        classes: Their names, in the order of their numbers. Unless given, those in data.yaml (or
            another YAML file with `names`), or in classes.txt.
        masks: Whether there are masks where every line of the split is an outline; `left_out`
            counts the pictures whose outlines are not looked at since others have none.
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given. Boxes and masks go with it.
        fit: How a picture meets a size of another shape: `crop`, which cuts boxes at the edge of
            what is left, and loses those outside, `pad`, `stretch` or `within`.
        channels: 1 for grey, 3 for colour.
        val: The share of the pictures that is `val`, where nothing says which are. The choice
            depends on the seed and each picture's own name.
        test: The same for `test`.
        split_seed: Another number makes another choice.
        on_error: What happens to boxes that are bad (without area, outside the image, of negative
            width or what is no number, of a class without name, or with an outline that cannot be
            drawn), and to pictures that are missing or unreadable: `error` stops; `skip` leaves out
            the box or the picture with a warning; `clip` does so too, and cuts boxes that are
            partly outside at the edge.
        about: What is said where the folder is absent: source, licence, layout.

    Raises:
        DataError: If the folder or the classes' names are missing, a text file is broken, or
            something is bad.
        ValueError: If a size, a share or the classes are impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
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
        told = described(folder)
        names = classes or told.names
        if names is None:
            raise DataError(
                f"data.root: {str(folder)!r} has no data.yaml or classes.txt with the classes' "
                "names; give data.classes"
            )
        if told.splits:
            by_folder = named_pairs(folder, told.splits, split)
        else:
            by_folder = paired_below(folder, ".txt", ("labels", "label"), NO_LABELS)
        pairs = divided(by_folder, shares, split_seed, lambda pair: pair.name)[split]
        if not pairs:
            raise DataError(
                f"data.root: split {split} of {str(folder)!r} has no pictures; put some into a "
                f"folder {split}, or give data.{split} a share"
            )
        with threads() as pool:
            things = list(
                pool.map(lambda p: read_labels(p.text, names) if there(p.text) else (), pairs)
            )
        outlined = sum(any(thing.outline for thing in of_one) for of_one in things)
        complete = all(thing.outline for of_one in things for thing in of_one)
        if not masks or not complete:
            things = [tuple(replace(t, outline=None) for t in of_one) for of_one in things]
        found = [
            Annotated(
                pair.name.as_posix(),
                pair.image,
                relative(folder, pair.text),
                of_one,
                relative=True,
            )
            for pair, of_one in zip(pairs, things, strict=True)
        ]
        left_out = {MASKS: outlined} if masks and outlined and not complete else None
        super().__init__(split, found, names, reader, on_error, left_out=left_out)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a few pictures with text files, and return the parameters that read them."""
        for name in ("images", "labels"):
            for split in ("train", "val"):
                (folder / name / split).mkdir(parents=True)
        for number in range(8):
            split = "train" if number < 5 else "val"
            left, top = 4 * number, 5 + number
            pixels = np.random.default_rng(number).integers(0, 100, (48, 64, 3), np.uint8)
            pixels[top : top + 20, left : left + 24] += 150
            Image.fromarray(pixels).save(folder / f"images/{split}/{number}.png")
            line = f"{number % 2} {(left + 12) / 64} {(top + 10) / 48} {24 / 64} {20 / 48}\n"
            if number:
                path = folder / f"labels/{split}/{number}.txt"
                path.write_text(line, encoding="utf-8")
        (folder / "data.yaml").write_text("names: [cat, dog]\n", encoding="utf-8")
        return {"root": str(folder)}
