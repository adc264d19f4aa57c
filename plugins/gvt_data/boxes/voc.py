"""Boxes in Pascal VOC's XML, the challenge's or anybody's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES

from ..broken import threads
from ..masks.voc import CLASSES
from ..splits import divided
from ..voc_lists import Lists, files_by_name, split_lists
from .annotation import Annotated, AssumedWarning
from .box_set import BoxSet
from .pairing import Paired, check_classes, folder_of, paired_below, relative, there
from .settings import BoxFileParameters, BoxFiles
from .voc_xml import Corners, Described, read_xml

_LISTS = Path("ImageSets/Main")

EXPECTED = (
    "expected are JPEGImages/NAME.jpg, Annotations/NAME.xml and ImageSets/Main/train.txt, perhaps "
    "in VOCdevkit/VOC2012, or pictures and XML files of the same names in folders images and "
    "annotations or in one. VOC2012 is at http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ "
    "(photographs from Flickr under its terms of use)"
)


class VOC(BoxSet):
    """Pictures with an XML file each that has their boxes.

    M. Everingham and others (2010), The Pascal Visual Object Classes (VOC) Challenge,
    https://doi.org/10.1007/s11263-009-0275-4. Programs for labelling write such files too, of
    which `corners` has to be told. Where ImageSets/Main lists the splits, these are taken; where
    there are folders `train`, `val` or `test`, those. A split that has neither is a share of the
    training pictures.

    Every box is checked when the data is opened; what stands over its image by a pixel at most is
    cut there without a word.

    Args:
        split: `train`, `val` or `test`.
        root: The folder with JPEGImages, Annotations and ImageSets; one with VOCdevkit/VOC2012 or
            another year of it below; or one with pictures and XML files of the same names.
        train: The list that is trained on: `train`, `trainval`, or another one's name in
            ImageSets/Main. Where there is no list `train`, it is `trainval` or the only other
            list, without the pictures of other splits' lists.
        classes: Their names, in order; another label is an unknown one. Unless given, VOC's 20
            where all labels are of these, otherwise the labels of all splits, sorted.
        corners: How corners are meant. In the challenge they are `inclusive`: xmin to xmax count
            pixels from 1, and the last one belongs to the object, so that the box is
            (xmin - 1, ymin - 1, xmax, ymax). Where they are coordinates from 0, as most programs
            for labelling write them, they are `exact`.
        difficult: Whether objects that are marked as difficult count as all others do. Otherwise
            they are left out of training, and evaluation takes what is found there for neither
            right nor wrong, as the challenge does; `left_out` counts them.
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given. Boxes go with it.
        on_error: What happens to boxes that are bad (without area, outside the image, with
            reversed corners or what is no number, or of an unknown label), to objects without a
            name or a box, and to pictures that are missing, unreadable, without their XML or with
            a broken one, or of another size than it says: `error` stops and lists all; `skip`
            leaves out the box or the picture with a warning; `clip` does so too, and cuts boxes
            that are partly outside at the image's edge.
        **files: Those of `BoxFiles`.

    Raises:
        DataError: If a folder or a list is missing, or something is bad.
        ValueError: If a size, a share or the classes are impossible.
    """

    def __init__(
        self,
        split: str,
        root: str,
        train: str = "train",
        classes: list[str] | None = None,
        corners: Corners = "inclusive",
        difficult: bool = False,
        **files: BoxFileParameters,
    ) -> None:
        settings = BoxFiles(**files)
        reader = settings.reader()
        check_classes(classes)
        folder = _devkit(folder_of(root, settings.about, EXPECTED))
        shares = settings.shares()
        parts = _parts(folder, split, train, shares, settings.split_seed)
        wanted = parts[split] if classes else [pair for part in parts.values() for pair in part]
        known = _read(wanted, corners)
        names = classes or _classes(known.values())
        found = [_annotated(folder, pair, known.get(pair.text), difficult) for pair in parts[split]]
        _tell(folder, known)
        left_out = sum(thing.ignored for of in found for thing in of.things)
        super().__init__(
            split,
            found,
            names,
            reader,
            settings.on_error,
            left_out={"difficult": left_out} if left_out else None,
        )

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a few pictures in VOC's layout, and return the parameters that read them."""
        for name in ("JPEGImages", "Annotations", _LISTS):
            (folder / name).mkdir(parents=True)
        for number in range(8):
            left, top = 4 * number, 5 + number
            pixels = np.random.default_rng(number).integers(0, 100, (48, 64, 3), np.uint8)
            pixels[top : top + 20, left : left + 24] += 150
            Image.fromarray(pixels).save(folder / f"JPEGImages/{number}.jpg")
            label = ("cat", "dog")[number % 2]
            box = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            box += f"<xmax>{left + 24}</xmax><ymax>{top + 20}</ymax>"
            item = f"<object><name>{label}</name><bndbox>{box}</bndbox></object>"
            size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
            text = f"<annotation>{size}{item if number else ''}</annotation>"
            (folder / f"Annotations/{number}.xml").write_text(text, encoding="utf-8")
        for split, part in (("train", range(5)), ("val", range(5, 8))):
            text = "".join(f"{number}\n" for number in part)
            (folder / _LISTS / f"{split}.txt").write_text(text, encoding="utf-8")
        return {"root": str(folder)}


def _devkit(root: Path) -> Path:
    """Return the folder of the challenge at or below the root, or the root itself."""
    found = sorted(p for p in root.glob("VOC*/**/") if (p / "JPEGImages").is_dir())
    if (root / "JPEGImages").is_dir() or not found:
        return root
    if len(found) > 1:
        years = ", ".join(printable(path) for path in found)
        raise DataError(f"data.root: {str(root)!r} has several: {years}; give one of them")
    return found[0]


def _parts(
    folder: Path, split: str, train: str, shares: Mapping[str, float], seed: int
) -> Mapping[str, Sequence[Paired]]:
    """Return the pictures of each split, by lists, folders or shares."""
    lists = split_lists(folder, _LISTS, split, train)
    if lists is None and train != "train":
        raise DataError(f"data.train: {printable(folder)} has no lists in {_LISTS}")
    if lists is None:
        by_split = paired_below(folder, ".xml", ("annotations", "annotation", "labels", "xml"))
    else:
        by_split = _listed(folder, lists)
    parts = divided(by_split, shares, seed, lambda pair: pair.name)
    if parts[split]:
        return parts
    if lists is not None:
        raise lists.missing(split)
    raise DataError(
        f"data.root: split {split} of {str(folder)!r} has no pictures; put some into a "
        f"folder {split}, or give data.{split} a share"
    )


def _listed(folder: Path, lists: Lists) -> dict[str, list[Paired]]:
    """Return the pictures in each list with their XML files, perhaps missing."""
    images, texts = folder / "JPEGImages", folder / "Annotations"
    pictures, files = files_by_name(images, SUFFIXES), files_by_name(texts, {".xml"})
    return {
        split: [
            Paired(
                name,
                pictures.get(name, images / f"{name}.jpg"),
                files.get(name, texts / f"{name}.xml"),
            )
            for name in names
        ]
        for split, names in lists.names(pictures).items()
    }


def _read(pairs: Sequence[Paired], corners: Corners) -> dict[Path, Described]:
    """Return what there is of XML files, by file."""
    files = [pair.text for pair in pairs if there(pair.text)]
    with threads() as pool:
        return dict(zip(files, pool.map(lambda path: read_xml(path, corners), files), strict=True))


def _classes(known: Iterable[Described]) -> Sequence[str]:
    """Return the challenge's classes if there are no others, otherwise all labels, sorted."""
    labels = {thing.label for said in known for thing in said.things if thing.label}
    return CLASSES if labels <= {*CLASSES} else sorted(labels)


def _annotated(folder: Path, pair: Paired, said: Described | None, difficult: bool) -> Annotated:
    """Return a picture with its objects, of which difficult ones are ignored unless wanted."""
    file = relative(folder, pair.text)
    name = pair.name.as_posix()
    if said is None:
        return Annotated(name, pair.image, file, unsaid=file)
    things = (replace(t, ignored=False) for t in said.things) if difficult else said.things
    return Annotated(name, pair.image, file, tuple(things), said.size, broken=said.broken)


def _tell(folder: Path, known: Mapping[Path, Described]) -> None:
    """Warn of boxes that are taken from polygons."""
    places = [
        f"{relative(folder, path)}: {place}" for path, of in known.items() for place in of.derived
    ]
    if places:
        more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
        warnings.warn(
            f"{printable(folder)}: objects without a <bndbox>, whose boxes are those around their "
            f"polygons: {len(places):,} ({places[0]}{more})",
            AssumedWarning,
            stacklevel=3,
        )
