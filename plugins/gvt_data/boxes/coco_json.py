"""One of COCO's JSON files: pictures, categories and annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gvt import DataError
from gvt.printable import printable

from ..listing import composed
from .annotation import NO_BOX, Thing, malformed
from .coco_document import Annotation, Category, Picture, read_categories, read_document
from .outlines import box_around

Problems = dict[str, list[tuple[int | None, str]]]
"""Places by kind, each with the number of the picture that it belongs to, if that can be used."""


@dataclass(frozen=True)
class CocoFile:
    """The contents of a file.

    Attributes:
        path: The file.
        images: Its pictures, each once; those whose entry is malformed or ambiguous are left out.
        categories: The name of each class by its number.
        annotations: Its objects, each with its index in the file.
        malformed: The reason why an annotation cannot be read, by image_id and index.
        problems: What is wrong with other entries, by kind; see `problems_of`.
    """

    path: Path
    images: Sequence[Picture]
    categories: Mapping[int, str]
    annotations: Sequence[tuple[int, Annotation]]
    malformed: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    problems: Problems = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, as messages have it."""
        return printable(self.path.name)

    def problems_of(self, image_ids: Collection[int]) -> dict[str, list[str]]:
        """Return the places of faults by kind, without those of pictures of other splits."""
        places = {
            kind: [place for image_id, place in of if image_id is None or image_id in image_ids]
            for kind, of in self.problems.items()
        }
        return {kind: of for kind, of in places.items() if of}

    @property
    def used(self) -> frozenset[int]:
        """The numbers of the classes that have objects."""
        return frozenset(item.category_id for _, item in self.annotations)


def read_coco(path: Path) -> CocoFile:
    """Return the contents of a JSON file.

    A malformed entry does not keep the others from being read. A picture that is listed twice with
    one id is taken once; those of one id and different files, or of one file and different ids,
    are left out with their annotations.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, is not such JSON, or one number has two categories.
    """
    stamp = _stamp(path)
    document, faults = read_document(path)
    problems: Problems = defaultdict(list)
    categories = _keep(stamp, [of for of in document.categories if of is not None])
    images, known = _images(path.name, document.images, problems)
    bad: dict[int, dict[int, str]] = defaultdict(dict)
    for (key, index), (reason, image_id) in faults.items():
        if key == "annotations" and image_id in images:
            bad[image_id][index] = reason
        else:
            kind = "malformed annotation" if key == "annotations" else f"malformed {_ONE[key]}"
            problems[kind].append((None, f"{printable(path.name)}: {key}[{index}]{reason}"))
    annotations = []
    for index, item in enumerate(document.annotations):
        if item is not None and item.image_id in images:
            annotations.append((index, item))
        elif item is not None and item.image_id not in known:
            place = f"{printable(path.name)}: {place_of(index, item)} (image_id {item.image_id})"
            problems["annotation of an unknown image"].append((None, place))
    return CocoFile(path, [*images.values()], categories, annotations, bad, problems)


def things_of(
    content: CocoFile, labels: Mapping[int, str], masks: bool = True
) -> tuple[Mapping[int, Sequence[Thing]], Sequence[str]]:
    """Return the objects of each picture by its number, and which of them have no box.

    Boxes [x, y, width, height] become corners. An object without a box gets the one around its
    outline. `iscrowd` is for areas with several objects, which are ignored. An object of no
    category has the label `category_id NUMBER`.

    Args:
        content: The file's contents.
        labels: The label of each category.
        masks: Whether outlines are wanted; they are kept as they are.

    Returns:
        The objects, and the places of those whose boxes are from their outlines.
    """
    things: dict[int, list[Thing]] = defaultdict(list)
    derived = []
    for index, item in content.annotations:
        label = labels.get(item.category_id, f"category_id {item.category_id}")
        thing = _thing(index, item, label, masks)
        if not item.bbox and not thing.fault:
            derived.append(f"{content.name}: {thing.place} ({printable(label)})")
        things[item.image_id].append(thing)
    for image_id, reasons in content.malformed.items():
        things[image_id] += [malformed(f"annotations[{i}]{why}", "") for i, why in reasons.items()]
    return things, derived


def _thing(index: int, item: Annotation, label: str, masks: bool) -> Thing:
    place, crowd = place_of(index, item), bool(item.iscrowd)
    outline = item.segmentation or None
    if item.bbox and len(item.bbox) != 4:
        reason = f"bbox has {len(item.bbox)} numbers, not 4"
        return malformed(place, reason, label)
    if item.bbox:
        left, top, width, height = item.bbox
        box: tuple[float, float, float, float] | None = (left, top, left + width, top + height)
    else:
        box = box_around(outline)
    if box is None:
        return Thing(label, NO_BOX, None, place, crowd, fault="object without a box")
    return Thing(label, box, outline if masks else None, place, crowd)


def place_of(index: int, item: Annotation) -> str:
    """Return how an annotation is called in messages."""
    return f"annotations[{index}]" if item.id is None else f"annotation {item.id}"


def categories_of(path: Path) -> Mapping[int, str]:
    """Return the name of each class by its number; a file is not read again while it is the same.

    Raises:
        DataError: As `read_coco` does.
    """
    stamp = _stamp(path)
    if stamp not in _CATEGORIES:
        _keep(stamp, read_categories(path))
    return _CATEGORIES[stamp]


_ONE = {"images": "image entry", "categories": "category"}

_Stamp = tuple[Path, int, int]

_CATEGORIES: dict[_Stamp, Mapping[int, str]] = {}
"""Of files that were read; each split's file is asked for by all the others."""


def _stamp(path: Path) -> _Stamp:
    """Return what changes when a file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    return path, status.st_mtime_ns, status.st_size


def _keep(stamp: _Stamp, categories: Sequence[Category]) -> Mapping[int, str]:
    names: dict[int, str] = {}
    for category in categories:
        name = composed(category.name)
        if names.setdefault(category.id, name) != name:
            raise DataError(
                f"{printable(stamp[0])}: categories: {printable(names[category.id])} and "
                f"{printable(name)} have the same id {category.id}; give one of them another"
            )
    _CATEGORIES[stamp] = names
    return names


def _images(
    source: str, entries: Sequence[Picture | None], problems: Problems
) -> tuple[dict[int, Picture], set[int]]:
    """Return the pictures that can be used by number, and all numbers; note the others."""
    by_id: dict[int, Picture] = {}
    by_path: dict[tuple[str, ...], int] = {}
    known, ambiguous = set[int](), set[int]()
    for index, picture in enumerate(entries):
        if picture is None:
            continue
        place = f"{printable(source)}: images[{index}]"
        known.add(picture.id)
        if not picture.parts:
            text = f"{place}.file_name: {printable(repr(picture.file_name))} is not a file name"
            problems["malformed image entry"].append((None, text))
            continue
        twin = by_id.setdefault(picture.id, picture)
        owner = by_path.setdefault(picture.parts, picture.id)
        name = printable(picture.file_name)
        if owner != picture.id:
            text = f"{place}: {name} has the ids {owner} and {picture.id}"
            problems["image listed twice"].append((None, text))
            ambiguous |= {owner, picture.id}
        elif twin is not picture and twin.parts == picture.parts:
            problems["image listed twice"].append(
                (picture.id, f"{place}: {name} (id {picture.id}) again")
            )
        if twin.parts != picture.parts:
            text = f"{place}: {printable(twin.file_name)} and {name} have the same id {picture.id}"
            problems["repeated image id"].append((None, text))
            ambiguous.add(picture.id)
    return {of: picture for of, picture in by_id.items() if of not in ambiguous}, known
