"""Images with boxes in YOLO's text format."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from gvt import DataError
from gvt.printable import printable

from ..broken import threads
from ..splits import divided
from .annotation import Annotated
from .box_set import MASKS, BoxSet, save_example
from .pairing import Paired, check_classes, folder_of, no_images, paired_below, relative, there
from .settings import BoxFileParameters, BoxFiles
from .yolo_lines import Keypoints, Line, thing_of
from .yolo_splits import LABELS, NO_LABELS, named_pairs
from .yolo_tasks import check_outlines
from .yolo_text import described, read_lines

EXPECTED = (
    "expected are images and text files of the same names in folders images and labels "
    "(ROOT/images/train/1.jpg and ROOT/labels/train/1.txt, or ROOT/train/images/1.jpg and "
    "ROOT/train/labels/1.txt) or in one folder, and data.yaml with the names of the classes"
)


class YOLO(BoxSet):
    """Images with boxes in a text file each, in YOLO's format.

    J. Redmon and others (2016), You Only Look Once, https://arxiv.org/abs/1506.02640, in the layout
    of Ultralytics. Each line is a box `class x y width height`. The class is an index from 0; x and
    y are the centre of the box, and all four numbers are fractions of the image's width and height.
    A line with more numbers, `class x1 y1 x2 y2 x3 y3 ...`, is an outline, and its box is the one
    around it. If data.yaml has `kpt_shape`, every line is a box with keypoints, which are not used;
    otherwise, lines that look like keypoints or like the output of a tracker are refused. An image
    without a text file has no objects. The splits are the entries `train`, `val` (or `valid`) and
    `test` of data.yaml: a folder, a text file with the path of an image on each line, or a list of
    these. If there are no entries, they are the folders of these names. If there are no folders,
    `val` and `test` are shares of the images.

    Every box is checked when the data is opened. A box that extends beyond its image by a pixel at
    most is clipped without a warning.

    Args:
        split: `train`, `val` or `test`.
        root: Folder of the data set.
        classes: Names of the classes, in the order of their indices. By default, those in data.yaml
            (or another YAML file with `names`), or in classes.txt.
        masks: Whether to read masks; there are masks only if every line of the split is an outline.
            `left_out` counts the images with outlines that are not used.
        keypoints: Number of keypoints behind each box, and of numbers per keypoint; by default,
            `kpt_shape` in data.yaml. Keypoints are not used. With `none`, every line is a box or an
            outline, even if most lines could be something else.
        on_error: How problems are handled: bad boxes (no area, outside the image, negative width,
            not a number, in pixels, a class without a name, an outline that cannot be drawn), lines
            that are neither boxes nor outlines, and files that are missing or unreadable. `error`
            stops and lists all; `skip` leaves out the box or the image with a warning; `clip` also
            clips boxes partly outside at the image's edge.
        **files: Parameters of `BoxFiles`.

    Raises:
        DataError: If the folder or the names of the classes are missing, data.yaml contradicts
            itself, lines may be of another task, or there is a problem.
        ValueError: If a size, a share or the classes are invalid.
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
        description = described(folder)
        if not classes:
            description.check_count()
        names = classes or description.names
        if names is None:
            raise DataError(
                f"data.root: {str(folder)!r} has no data.yaml or classes.txt with the names of the "
                "classes; give data.classes"
            )
        if description.splits:
            by_split = named_pairs(folder, description.splits, split)
        else:
            by_split = paired_below(folder, ".txt", LABELS, NO_LABELS)
        pairs = divided(by_split, shares, settings.split_seed, lambda pair: pair.name)[split]
        if not pairs:
            raise no_images(folder, split)
        shape = keypoints or description.keypoints
        if shape not in (None, "none"):
            warnings.warn(
                f"split {split}: only boxes are read, not the keypoints behind each ({shape[0]} of "
                f"{shape[1]} numbers)",
                stacklevel=2,
            )
        images = _annotated(folder, pairs, names, shape)
        things = [thing for image in images for thing in image.things if not thing.fault]
        outlined = sum(any(thing.outline for thing in image.things) for image in images)
        complete = all(thing.outline for thing in things)
        if not masks or not complete:
            images = [_without_outlines(image) for image in images]
        left_out = {MASKS: outlined} if masks and outlined and not complete else None
        super().__init__(
            split,
            images,
            names,
            reader,
            settings.on_error,
            left_out=left_out,
            absent=_absent(folder, pairs),
        )

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a small data set with text files, and return the parameters to read it."""
        for name in ("images", "labels"):
            for split in ("train", "val"):
                (folder / name / split).mkdir(parents=True)
        for number in range(8):
            split = "train" if number < 5 else "val"
            left, top = save_example(folder / f"images/{split}/{number}.png", number)
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
    """Return the images with their objects, whose boxes and outlines are fractions of the image.

    Raises:
        DataError: If `keypoints` is None, and lines may be of another task.
    """
    with threads() as pool:
        contents = list(pool.map(lambda pair: _lines(pair.text, names), pairs))
    if keypoints is None:
        check_outlines([line for lines, _ in contents for line in lines])
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
        for pair, (lines, broken) in zip(pairs, contents, strict=True)
    ]


def _lines(path: Path, names: Sequence[str]) -> tuple[Sequence[Line], str | None]:
    """Return the lines of a text file, and why it cannot be read; no lines if it is absent."""
    try:
        return (read_lines(path, names) if there(path) else ()), None
    except DataError as error:
        return (), str(error)


def _without_outlines(image: Annotated) -> Annotated:
    return replace(image, things=tuple(replace(thing, outline=None) for thing in image.things))


def _absent(folder: Path, pairs: Sequence[Paired]) -> str:
    """Return the reason for a split without objects and without problems."""
    files = [pair.text for pair in pairs if not there(pair.text)]
    if not files:
        return "all text files are empty"
    first = printable(relative(folder, files[0]))
    return f"{len(files):,} of {len(pairs):,} images have no text file, such as {first}"
