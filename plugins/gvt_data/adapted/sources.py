"""Where images and targets come from: lists, or a data set of pairs (image, target)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from gvt import DataError
from gvt.printable import quoted

from .annotations import are_annotations, of_annotations
from .classes import Names
from .images import is_file, is_image, layout_of
from .targets import KEYS, Where

PAIRS = (
    "a pair (image, target): the target is the number of a class, a mask (H, W) with the number of "
    "a class for each pixel, a dict with boxes (M, 4) and labels (M,), and masks (M, H, W), a list "
    "of annotations in COCO's format, or None"
)
"""The form of the samples of a data set in torchvision's form, for messages."""

_OF_DICTS = (*KEYS, "iscrowd")


class Source(Protocol):
    """Images with targets, in the forms that they were given in.

    Attributes:
        names: Names of the classes, if the source has them.
        is_held: Whether all images are in memory.
        is_augmented: Whether transforms may have changed the samples, even at random.
    """

    names: Names | None
    is_held: bool
    is_augmented: bool

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[Any, Mapping[str, Any]]:
        """Return an image, and its targets by key.

        Raises:
            DataError: If the sample has another form.
        """

    def where(self, index: int) -> Where:
        """Return the places of the targets of a sample, and that of its `image`, for messages."""

    def labels(self) -> Sequence[Any] | None:
        """Return the class of each sample, if that is known without reading them."""


class Lists:
    """Images and their targets, each a list with an entry for each image, or a stacked array.

    Args:
        images: The images, at least one.
        lists: The targets by their names in messages: `boxes`, `labels`, `masks`, `semantic`.

    Raises:
        DataError: If a value is not a list, there are no images, or the lists differ in length.
    """

    names: Names | None = None
    is_augmented = False

    def __init__(self, images: Any, lists: Mapping[str, Any]) -> None:
        self._images = _listed("images", images)
        self._lists = {name: _listed(name, of) for name, of in lists.items() if of is not None}
        if not len(self._images):
            raise DataError("images: are none; give at least one image")
        for name, of in self._lists.items():
            if len(of) != len(self):
                raise DataError(
                    f"{name}: has {len(of)} entries for {len(self)} images; give one for each, "
                    "None for an image that is not labelled"
                )
        is_of_objects = self._lists.keys() & {"boxes", "masks"}
        labels = self._lists.get("labels", ())
        is_nested = any(not _is_label(label) for label in labels if label is not None)
        self._of_images = {} if is_of_objects or is_nested else {"class": "labels"}
        self.is_held = not any(map(is_file, self._images))

    def __len__(self) -> int:
        return len(self._images)

    @property
    def files(self) -> list[Any] | None:
        """Paths of the images; None if some are not files."""
        return [*self._images] if all(map(is_file, self._images)) else None

    def read(self, index: int) -> tuple[Any, dict[str, Any]]:
        """Return an image, and its targets by key."""
        targets = {name: of[index] for name, of in self._lists.items()}
        if self._of_images and "labels" in targets:
            targets["class"] = targets.pop("labels")
        return self._images[index], targets

    def where(self, index: int) -> Where:
        """Return the places of the values of a sample, such as `boxes[3]`."""
        return partial(_place, index, {"image": "images", **self._of_images})

    def labels(self) -> None:
        """Return None, since all samples are read."""


class Pairs:
    """A data set of torch, or any sequence, whose samples are pairs (image, target).

    Names of classes are its `classes` or `categories`, or the categories of its `coco`. Classes of
    samples are its `targets` or `labels`. Both are looked up in what `Subset` and `ConcatDataset`
    wrap, too.

    Args:
        data: The data set, with at least one sample.

    Raises:
        DataError: If it is empty.
    """

    is_held = False
    is_augmented = True

    def __init__(self, data: Any) -> None:
        if not len(data):
            raise DataError(f"data: {type(data).__name__} has no samples")
        self._data = data
        self.names = _names_of(data)

    def __len__(self) -> int:
        return len(self._data)

    def read(self, index: int) -> tuple[Any, Mapping[str, Any]]:
        """Return an image, and its targets by key."""
        sample = self._data[index]
        if is_image(sample):
            return sample, {}
        if not isinstance(sample, tuple | list) or len(sample) != 2 or not is_image(sample[0]):
            raise DataError(f"sample {index}: is {_described(sample)}; give {PAIRS}")
        image, target = sample
        if target is None:
            return image, {}
        if are_annotations(target):
            size = layout_of(image, self.where(index)("image")).size
            return image, of_annotations(target, size, f"sample {index}: annotation")
        if isinstance(target, Mapping):
            return image, self._of_dict(target, index)
        if isinstance(target, Image.Image) or getattr(target, "ndim", 0) >= 2:
            return image, {"semantic": target}
        if not _is_label(target):
            raise DataError(f"sample {index}: its target is {_described(target)}; give {PAIRS}")
        return image, {"class": target}

    def _of_dict(self, target: Mapping[str, Any], index: int) -> dict[str, Any]:
        """Return the targets in a dict by key."""
        if targets := {key: target[key] for key in _OF_DICTS if key in target}:
            return targets
        if "image_id" in target:  # torchvision wraps COCO so, for an image without objects
            return {"boxes": [], "labels": []}
        keys = ", ".join(map(str, target))
        raise DataError(f"sample {index}: its target has the keys {keys}; give {PAIRS}")

    def where(self, index: int) -> Where:
        """Return the places of the values of a sample, such as `sample 3: boxes`."""
        return partial("sample {}: {}".format, index)

    def labels(self) -> Sequence[Any] | None:
        """Return the class of each sample, if the data set has such a list."""
        values = _labels_of(self._data)
        return values if values is not None and len(values) == len(self) else None


def _place(index: int, names: Mapping[str, str], key: str) -> str:
    return f"{names.get(key, key)}[{index}]"


def _listed(name: str, value: Any) -> Any:
    """Return a list, or an array whose first axis is that of the images."""
    if isinstance(value, np.ndarray | Tensor):
        if value.ndim == 0 or (name == "images" and value.ndim < 3):
            raise DataError(
                f"{name}: has the shape {tuple(value.shape)}; give a list, or an array with one "
                "entry for each image"
            )
        return value
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise DataError(f"{name}: {quoted(value)} is not a list with one entry for each image")
    return list(value)


def _is_label(value: Any) -> bool:
    """Return whether a value is one label, and not a list of labels."""
    is_array = isinstance(value, np.ndarray | Tensor)
    return value.ndim == 0 if is_array else isinstance(value, str) or not hasattr(value, "__len__")


def _described(value: Any) -> str:
    """Return the types in a sample, such as `a tuple (Tensor, dict, int)`."""
    if isinstance(value, tuple | list):
        inner = ", ".join(type(part).__name__ for part in value[:5])
        return f"a {type(value).__name__} ({inner}{', ...' if len(value) > 5 else ''})"
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, np.ndarray | Tensor) else ""
    return f"a {type(value).__name__}{shape}"


def _names_of(data: Any) -> Names | None:
    """Return the names of the classes of a data set; None if it has none."""
    for attribute in ("classes", "categories"):
        names = getattr(data, attribute, None)
        if (
            isinstance(names, list | tuple)
            and names
            and all(isinstance(n, str | tuple) for n in names)
        ):
            return [n if isinstance(n, str) else ", ".join(map(str, n)) for n in names]
    categories = getattr(getattr(data, "coco", None), "cats", None)
    if isinstance(categories, Mapping) and categories:
        return {number: str(of["name"]) for number, of in sorted(categories.items())}
    inner = [_names_of(part) for part in _inner(data)]
    return inner[0] if inner and all(names == inner[0] for names in inner) else None


def _labels_of(data: Any) -> Sequence[Any] | None:
    """Return the class of each sample of a data set; None if it has no list of them."""
    indices = getattr(data, "indices", None)
    inner = [_labels_of(part) for part in _inner(data)]
    if indices is not None and len(inner) == 1:
        labels = inner[0]
        return None if labels is None else [labels[index] for index in indices]
    if hasattr(data, "datasets") and inner:
        return None if None in inner else [label for labels in inner for label in labels or ()]
    if getattr(data, "target_transform", None) is not None:
        return None  # they are not what samples have
    for attribute in ("targets", "labels"):
        labels = getattr(data, attribute, None)
        labels = labels.tolist() if isinstance(labels, np.ndarray | Tensor) else labels
        if isinstance(labels, list | tuple) and all(isinstance(label, int) for label in labels):
            return labels
    return None


def _inner(data: Any) -> Sequence[Any]:
    """Return the data sets that a data set wraps."""
    parts = getattr(data, "datasets", None)
    if isinstance(parts, list | tuple):
        return parts
    return [data.dataset] if hasattr(data, "dataset") else ()
