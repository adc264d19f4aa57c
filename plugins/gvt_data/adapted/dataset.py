"""`gvt.dataset`: data sets from lists, arrays and data sets of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from gvt import DataError, UsageError
from gvt.printable import quoted
from gvt.vision.pictures import Fit

from ..pictures import Pictures
from .adapted_set import AdaptedSet
from .classes import Names
from .images import is_image
from .sources import Lists, Pairs


def dataset(
    images: Any,
    *,
    boxes: Any = None,
    labels: Any = None,
    masks: Any = None,
    semantic: Any = None,
    classes: Names | None = None,
    first_label: int | None = None,
    background: bool = False,
    split: str = "train",
    size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    channels: Literal[1, 3] | None = None,
    white: float | None = None,
) -> AdaptedSet:
    """Return a data set of images and targets in lists, arrays or tensors, or of a torch data set.

    Images are paths, Pillow images, arrays (H, W) or (H, W, C), or tensors (C, H, W): uint8, or
    float in [0, 1]. Targets are lists, or arrays and tensors, with an entry for each image; an
    image whose entry is None is not labelled. What is in memory is not copied, and is checked at
    once. The header of each file is read at once, too, and its pixels on access.

    In the place of the lists, `images` may be a torch data set, or any sequence, whose samples are
    pairs (image, target) in torchvision's form. The target is the number of a class, a mask (H, W)
    of classes, a dict with `boxes`, `labels` and `masks`, a list of annotations in COCO's format,
    or None. If the data set has no list `targets` of the classes of its samples, they are all read
    once; with more than 2,000, `classes` is required instead. Its random transforms are
    reproducible if they draw from the generators of torch, NumPy or `random`: these are seeded for
    each sample by the seed of the run, the epoch and the index.

    Args:
        images: The images, or the data set of torch.
        boxes: Boxes (M, 4) of each image, (left, top, right, bottom) in pixels; there may be none.
            By default those around its masks.
        labels: The class of each image, a name or a number. With boxes or masks, the labels (M,) of
            its objects; they may be left out if there is one class. Lists without boxes are several
            labels of an image.
        masks: Masks (M, H, W) of the objects of each image, in which 0 is outside.
        semantic: The class of each pixel of each image, (H, W): an array, a tensor, a Pillow image
            or a path. 255 is ignored; in maps that have the values 0 and 255 alone, it is class 1.
        classes: Names of the classes, to which numbers count from `first_label`; or the name of
            each label. By default those of the data set of torch, or the names that occur, sorted,
            or for numbers "0" to the largest that occurs.
        first_label: Label of the first class, for numbers. 0 by default. For objects in a data set
            of torch, it is 0 if that label occurs, and otherwise 1, with a warning, since the
            detectors of torchvision have 0 for the background.
        background: Whether pixels of no class have the value after the last class in `semantic`.
        split: Name of the split, for messages.
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its size. Targets are resized with it.
        fit: How an image is fitted to a size of another aspect ratio: `crop`, `pad`, `stretch` or
            `within`.
        channels: 1 for grey, 3 for colour; by default that of the images, and colour if some are
            grey and some are not.
        white: Value of white in files of more than 8 bits per value.

    Returns:
        The data set. Its `info` has a reader, with which `gvt predict` reads files like these.

    Raises:
        DataError: If images or targets are not of these forms or do not fit each other, such as a
            box outside its image; the message has the place of the first one, and its details all.
        UsageError: If arguments exclude each other.
    """
    lists = {"boxes": boxes, "labels": labels, "masks": masks, "semantic": semantic}
    source: Lists | Pairs
    names = [name for name, of in lists.items() if of is not None]
    if _is_list_of_images(images, is_known=bool(names)):
        source = Lists(images, lists)
    else:
        if names:
            raise UsageError(
                f"{names[0]}: {type(images).__name__} is not a list of images, and a data set of "
                "pairs (image, target) has targets of its own; give only one of them"
            )
        if not is_map_style(images):
            raise DataError(_unsuitable(images))
        source = Pairs(images)
    pictures = Pictures(size=size, fit=fit, white=white)
    return AdaptedSet(source, classes, first_label, background, split, pictures, channels)


def is_map_style(data: Any) -> bool:
    """Return whether data has a length and samples by index, and may have pairs."""
    if isinstance(data, str | bytes | Mapping | np.ndarray | Tensor | DataLoader | IterableDataset):
        return False
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


def _is_list_of_images(value: Any, *, is_known: bool) -> bool:
    """Return whether a value is a list of images, or a stacked array, and not a list of pairs.

    Args:
        value: The value.
        is_known: Whether a list is one of images, since there are targets beside it.
    """
    if isinstance(value, list | tuple):
        return is_known or not value or is_image(value[0])
    return isinstance(value, np.ndarray | Tensor)


def _unsuitable(data: Any) -> str:
    """Return the message for data that is neither a list of images nor a data set."""
    if isinstance(data, DataLoader):
        return "data: is a DataLoader; give its data set, since gvt makes the batches"
    if isinstance(data, IterableDataset):
        return (
            f"data: {type(data).__name__} is an IterableDataset; gvt draws samples by their index, "
            "so give a data set with __len__ and __getitem__"
        )
    return f"images: {quoted(data)} is neither a list of images nor a data set of pairs"
