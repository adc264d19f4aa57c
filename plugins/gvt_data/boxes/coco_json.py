"""Read one of COCO's JSON files: images, categories and annotations."""

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
"""Places by kind of problem, each with the id of its image, or None without a usable image."""


@dataclass(frozen=True)
class CocoFile:
    """The content of a file.

    Attributes:
        path: The file.
        images: The images, each once, without malformed and ambiguous entries.
        categories: Names of the classes by category id.
        annotations: The objects, each with its index in the file.
        malformed: The errors of malformed annotations, by image_id and index.
        problems: The problems of other entries, by kind; see `problems_of`.
    """

    path: Path
    images: Sequence[Picture]
    categories: Mapping[int, str]
    annotations: Sequence[tuple[int, Annotation]]
    malformed: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    problems: Problems = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return printable(self.path.name)

    def problems_of(self, image_ids: Collection[int]) -> dict[str, list[str]]:
        """Return the places of problems by kind, without those of images of other splits."""
        by_kind = {
            kind: [place for image_id, place in items if image_id is None or image_id in image_ids]
            for kind, items in self.problems.items()
        }
        return {kind: places for kind, places in by_kind.items() if places}

    @property
    def used(self) -> frozenset[int]:
        """The ids of the categories that have objects."""
        return frozenset(item.category_id for _, item in self.annotations)


def read_coco(path: Path) -> CocoFile:
    """Return the content of a JSON file.

    Malformed entries do not prevent the others from being read. An image listed twice with the
    same id is used once. Images with the same id and different files, or with the same file and
    different ids, are left out with their annotations.

    Args:
        path: The file.

    Raises:
        DataError: If it cannot be read, is not valid, or has two categories with the same id.
    """
    stamp = _stamp(path)
    document, faults = read_document(path)
    problems: Problems = defaultdict(list)
    categories = _keep(stamp, [item for item in document.categories if item is not None])
    images, image_ids = _images(path.name, document.images, problems)
    errors: dict[int, dict[int, str]] = defaultdict(dict)
    for (key, index), (reason, image_id) in faults.items():
        if key == "annotations" and image_id in images:
            errors[image_id][index] = reason
        else:
            kind = "malformed annotation" if key == "annotations" else f"malformed {_ONE[key]}"
            problems[kind].append((None, f"{printable(path.name)}: {key}[{index}]{reason}"))
    annotations = []
    for index, item in enumerate(document.annotations):
        if item is not None and item.image_id in images:
            annotations.append((index, item))
        elif item is not None and item.image_id not in image_ids:
            place = f"{printable(path.name)}: {place_of(index, item)} (image_id {item.image_id})"
            problems["annotation of an unknown image"].append((None, place))
    return CocoFile(path, [*images.values()], categories, annotations, errors, problems)


def things_of(
    content: CocoFile, labels: Mapping[int, str], masks: bool = True
) -> tuple[Mapping[int, Sequence[Thing]], Sequence[str]]:
    """Return the objects of each image by its id, and the places of those without a box.

    Boxes [x, y, width, height] become corners. An object without a box gets the box around its
    outline. Objects with `iscrowd`, which are areas of several objects, are ignored. An object of
    an unknown category has the label `category_id NUMBER`.

    Args:
        content: Content of the file.
        labels: Label of each category.
        masks: Whether to keep outlines.

    Returns:
        The objects, and the places of those whose boxes are computed from their outlines.
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
    """Return the place of an annotation, for messages."""
    return f"annotations[{index}]" if item.id is None else f"annotation {item.id}"


def categories_of(path: Path) -> Mapping[int, str]:
    """Return the names of the categories by id. An unchanged file is read once.

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
"""Cache of categories: opening a split needs the categories of all splits' files."""


def _stamp(path: Path) -> _Stamp:
    """Return a key that changes if the file changes."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read: {error.strerror}") from error
    return path, status.st_mtime_ns, status.st_size


def _keep(stamp: _Stamp, categories: Sequence[Category]) -> Mapping[int, str]:
    """Return the names of categories by id, and add them to the cache."""
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
    """Return the usable images by id, and the ids of all; add the problems of the others."""
    by_id: dict[int, Picture] = {}
    by_path: dict[tuple[str, ...], int] = {}
    image_ids, ambiguous = set[int](), set[int]()
    for index, picture in enumerate(entries):
        if picture is None:
            continue
        place = f"{printable(source)}: images[{index}]"
        image_ids.add(picture.id)
        if not picture.parts:
            text = f"{place}.file_name: {printable(repr(picture.file_name))} is not a file name"
            problems["malformed image entry"].append((None, text))
            continue
        twin = by_id.setdefault(picture.id, picture)
        first_id = by_path.setdefault(picture.parts, picture.id)
        name = printable(picture.file_name)
        if first_id != picture.id:
            text = f"{place}: {name} has the ids {first_id} and {picture.id}"
            problems["image listed twice"].append((None, text))
            ambiguous |= {first_id, picture.id}
        elif twin is not picture and twin.parts == picture.parts:
            problems["image listed twice"].append(
                (picture.id, f"{place}: {name} (id {picture.id}) again")
            )
        if twin.parts != picture.parts:
            text = f"{place}: {printable(twin.file_name)} and {name} have the same id {picture.id}"
            problems["repeated image id"].append((None, text))
            ambiguous.add(picture.id)
    return {key: image for key, image in by_id.items() if key not in ambiguous}, image_ids
