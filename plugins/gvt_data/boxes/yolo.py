"""Boxes in YOLO's text files, one beside each picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import PositiveInt

from gvt import DataError
from gvt.printable import printable

from ..broken import threads
from ..splits import divided
from .annotation import Annotated
from .box_set import MASKS, BoxSet
from .pairing import Paired, check_classes, folder_of, paired_below, relative, there
from .settings import BoxFileParameters, BoxFiles
from .yolo_lines import Keypoints, Line, thing_of
from .yolo_splits import LABELS, NO_LABELS, named_pairs
from .yolo_tasks import check_outlines
from .yolo_text import described, read_lines

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
    and on, is an outline, and its box is the one around it. Where data.yaml has `kpt_shape`, every
    line is a box with keypoints, which are not used; lines that look like these, or that a
    tracker wrote, are refused otherwise. A picture without a text file has no
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
        keypoints: How many keypoints follow each box, and how many numbers each of them has, as
            `kpt_shape` in data.yaml, which is taken unless given. They are not used. With `none`
            every line is a box or an outline, also where most lines could be something else.
        on_error: What happens to boxes that are bad (without area, outside the image, of negative
            width or what is no number, in pixels, of a class without name, or with an outline that
            cannot be drawn), to lines that are neither boxes nor outlines, and to files that are
            missing or unreadable: `error` stops; `skip` leaves out
            the box or the picture with a warning; `clip` does so too, and cuts boxes that are
            partly outside at the edge.
        **files: Those of `BoxFiles`.

    Raises:
        DataError: If the folder or the classes' names are missing, data.yaml contradicts itself,
            lines may be of another task, or something is bad.
        ValueError: If a size, a share or the classes are impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
        classes: list[str] | None = None,
        masks: bool = True,
        keypoints: tuple[PositiveInt, Literal[2, 3]] | Literal["none"] | None = None,
        **files: BoxFileParameters,
    ) -> None:
        settings = BoxFiles(**files)
        reader = settings.reader()
        check_classes(classes)
        shares = settings.shares()
        folder = folder_of(root, settings.about, EXPECTED)
        known = described(folder)
        if not classes:
            known.check_count()
        names = classes or known.names
        if names is None:
            raise DataError(
                f"data.root: {str(folder)!r} has no data.yaml or classes.txt with the classes' "
                "names; give data.classes"
            )
        if known.splits:
            by_folder = named_pairs(folder, known.splits, split)
        else:
            by_folder = paired_below(folder, ".txt", LABELS, NO_LABELS)
        pairs = divided(by_folder, shares, settings.split_seed, lambda pair: pair.name)[split]
        if not pairs:
            raise DataError(
                f"data.root: split {split} of {str(folder)!r} has no pictures; put some into a "
                f"folder {split}, or give data.{split} a share"
            )
        shape = keypoints or known.keypoints
        if shape not in (None, "none"):
            warnings.warn(
                f"split {split}: boxes are read, and not the keypoints behind each ({shape[0]} of "
                f"{shape[1]} numbers)",
                stacklevel=2,
            )
        found = _annotated(folder, pairs, names, shape)
        things = [thing for of in found for thing in of.things if not thing.fault]
        outlined = sum(any(thing.outline for thing in of.things) for of in found)
        complete = all(thing.outline for thing in things)
        if not masks or not complete:
            found = [_without_outlines(of) for of in found]
        left_out = {MASKS: outlined} if masks and outlined and not complete else None
        super().__init__(
            split,
            found,
            names,
            reader,
            settings.on_error,
            left_out=left_out,
            absent=_absent(folder, pairs),
        )

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


def _annotated(
    folder: Path,
    pairs: Sequence[Paired],
    names: Sequence[str],
    keypoints: Keypoints | Literal["none"] | None,
) -> list[Annotated]:
    """Return pictures with their objects, boxes and outlines in fractions of each.

    Raises:
        DataError: If nothing says whether there are keypoints, and lines may be of another task.
    """
    with threads() as pool:
        read = list(pool.map(lambda pair: _lines(pair.text, names), pairs))
    if keypoints is None:
        check_outlines([line for lines, _ in read for line in lines])
    shape = None if keypoints == "none" else keypoints
    return [
        Annotated(
            pair.name.as_posix(),
            pair.image,
            relative(folder, pair.text),
            tuple(thing_of(line, shape) for line in lines),
            relative=True,
            broken=broken,
        )
        for pair, (lines, broken) in zip(pairs, read, strict=True)
    ]


def _lines(path: Path, names: Sequence[str]) -> tuple[Sequence[Line], str | None]:
    """Return the lines of a text file, none if it is absent, and why it cannot be read."""
    try:
        return (read_lines(path, names) if there(path) else ()), None
    except DataError as error:
        return (), str(error)


def _without_outlines(of: Annotated) -> Annotated:
    return replace(of, things=tuple(replace(thing, outline=None) for thing in of.things))


def _absent(folder: Path, pairs: Sequence[Paired]) -> str:
    """Return why there may be no object at all, if none is bad."""
    files = [pair.text for pair in pairs if not there(pair.text)]
    if not files:
        return "all text files are empty"
    first = printable(relative(folder, files[0]))
    return f"{len(files):,} of {len(pairs):,} images have no text file, as {first} would be"
