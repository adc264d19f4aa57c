"""Images with boxes in Pascal VOC's XML format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gvt import DataError
from gvt.printable import printable
from gvt.vision.pictures import SUFFIXES

from ..broken import threads
from ..masks.voc import CLASSES
from ..splits import divided
from ..voc_lists import Lists, files_by_name, split_lists
from .annotation import Annotated
from .box_set import BoxSet, save_example
from .checks import warn_of_derived
from .pairing import Paired, check_classes, folder_of, no_images, paired_below, relative, there
from .settings import BoxFileParameters, BoxFiles
from .voc_xml import Corners, Described, read_xml

_LISTS = Path("ImageSets/Main")

EXPECTED = (
    "expected are JPEGImages/NAME.jpg, Annotations/NAME.xml and ImageSets/Main/train.txt, perhaps "
    "in VOCdevkit/VOC2012, or images and XML files of the same names in folders images and "
    "annotations or in one folder. VOC2012 is at "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (photographs from Flickr under its terms of "
    "use)"
)


class VOC(BoxSet):
    """Images with boxes in an XML file each, in Pascal VOC's format.

    M. Everingham and others (2010), The Pascal Visual Object Classes (VOC) Challenge,
    https://doi.org/10.1007/s11263-009-0275-4. Many labelling tools export this format, some with
    other `corners`. The splits are the lists in ImageSets/Main if there are any, otherwise the
    folders `train`, `val` and `test`. A split without either is a share of the training images.

    Every box is checked when the data is opened. A box that extends beyond its image by a pixel at
    most is clipped without a warning.

    Args:
        split: `train`, `val` or `test`.
        root: Folder with JPEGImages, Annotations and ImageSets, or a folder that contains
            VOCdevkit/VOC2012 or another year, or a folder with images and XML files of the same
            names.
        train: Name of the list of training images in ImageSets/Main, such as `train` or
            `trainval`. If there is no list `train`, it is `trainval` or the only other list,
            without the images of other splits' lists.
        classes: Names of the classes, in order; all other labels are unknown. By default, VOC's 20
            classes if they include all labels, otherwise the labels of all splits, sorted.
        corners: Meaning of the corners of boxes. `inclusive`, as in the challenge: xmin to xmax are
            pixels counted from 1 and both belong to the object, so the box is
            (xmin - 1, ymin - 1, xmax, ymax). `exact`, as written by most labelling tools: they are
            coordinates from 0.
        difficult: Whether to treat objects marked as difficult like all others. By default, they
            are excluded from training, and detections of them count neither as correct nor as
            false, as in the challenge; `left_out` counts them.
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its own size. Boxes are resized with the image.
        on_error: How problems are handled: bad boxes (no area, outside the image, reversed corners,
            not a number, unknown label), objects without a name or a box, and images that are
            missing, unreadable, without a valid XML file, or of another size than it says. `error`
            stops and lists all; `skip` leaves out the box or the image with a warning; `clip` also
            clips boxes partly outside at the image's edge.
        **files: Parameters of `BoxFiles`.

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
        pairs = parts[split] if classes else [pair for part in parts.values() for pair in part]
        contents = _read(pairs, corners)
        names = classes or _classes(contents.values())
        images = [
            _annotated(folder, pair, contents.get(pair.text), difficult) for pair in parts[split]
        ]
        derived = [
            f"{relative(folder, path)}: {place}"
            for path, content in contents.items()
            for place in content.derived
        ]
        warn_of_derived(folder, derived, "<bndbox>", "polygons")
        ignored = sum(thing.ignored for image in images for thing in image.things)
        super().__init__(
            split,
            images,
            names,
            reader,
            settings.on_error,
            left_out={"difficult": ignored} if ignored else None,
        )

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, str]:
        """Write a small data set in VOC's layout, and return the parameters to read it."""
        for name in ("JPEGImages", "Annotations", _LISTS):
            (folder / name).mkdir(parents=True)
        for number in range(8):
            left, top = save_example(folder / f"JPEGImages/{number}.jpg", number)
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
    """Return the folder of a year of the challenge below the root, or the root itself."""
    folders = sorted(p for p in root.glob("VOC*/**/") if (p / "JPEGImages").is_dir())
    if (root / "JPEGImages").is_dir() or not folders:
        return root
    if len(folders) > 1:
        years = ", ".join(printable(path) for path in folders)
        raise DataError(f"data.root: {str(root)!r} has several years: {years}; give one of them")
    return folders[0]


def _parts(
    folder: Path, split: str, train: str, shares: Mapping[str, float], seed: int
) -> Mapping[str, Sequence[Paired]]:
    """Return the images of each split, by lists, folders or shares."""
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
    raise no_images(folder, split)


def _listed(folder: Path, lists: Lists) -> dict[str, list[Paired]]:
    """Return the images in each list with their XML files, either of which may be missing."""
    images, texts = folder / "JPEGImages", folder / "Annotations"
    image_files, xml_files = files_by_name(images, SUFFIXES), files_by_name(texts, {".xml"})
    return {
        split: [
            Paired(
                name,
                image_files.get(name, images / f"{name}.jpg"),
                xml_files.get(name, texts / f"{name}.xml"),
            )
            for name in names
        ]
        for split, names in lists.names(image_files).items()
    }


def _read(pairs: Sequence[Paired], corners: Corners) -> dict[Path, Described]:
    """Return the content of each XML file that exists."""
    files = [pair.text for pair in pairs if there(pair.text)]
    with threads() as pool:
        return dict(zip(files, pool.map(lambda path: read_xml(path, corners), files), strict=True))


def _classes(contents: Iterable[Described]) -> Sequence[str]:
    """Return the challenge's classes if they include all labels, otherwise the labels, sorted."""
    labels = {thing.label for content in contents for thing in content.things if thing.label}
    return CLASSES if labels <= {*CLASSES} else sorted(labels)


def _annotated(folder: Path, pair: Paired, content: Described | None, difficult: bool) -> Annotated:
    """Return an image with its objects. Difficult objects are ignored unless `difficult` is set."""
    file = relative(folder, pair.text)
    name = pair.name.as_posix()
    if content is None:
        return Annotated(name, pair.image, file, missing=file)
    things = (replace(t, ignored=False) for t in content.things) if difficult else content.things
    return Annotated(name, pair.image, file, tuple(things), content.size, broken=content.broken)
