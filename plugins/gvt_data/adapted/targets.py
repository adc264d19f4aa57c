"""The targets of one sample, in the forms that scripts and torchvision have, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import clip_boxes_to_image
from torchvision.transforms.v2 import functional

from gvt import IGNORED, DataError
from gvt.geometry import mask_boxes
from gvt.printable import quoted
from gvt.vision.pictures import picture_file

from ..boxes.checks import fault
from ..masks.file import check_lossless
from .classes import Label, checked_label
from .images import explained, is_file

KEYS = ("class", "boxes", "labels", "masks", "semantic")
"""The keys of targets."""

Where = Callable[[str], str]
"""Returns the place of a target of a sample for messages, such as `boxes[3]` for `boxes`."""

_IN_PIXELS = (
    "boxes are (left, top, right, bottom) in pixels; torchvision.ops.box_convert converts other "
    "forms, and clip_boxes_to_image clips boxes at the edge"
)


def parsed(
    raw: Mapping[str, Any], size: tuple[int, int], where: Where, *, is_augmented: bool
) -> dict[str, Any]:
    """Return the targets of a sample, in pixels of its image, with labels as the data has them.

    Args:
        raw: The targets by key; None for one that the sample lacks. `iscrowd` (M,) marks objects
            that are ignored.
        size: (H, W) of the image.
        where: Place of each target.
        is_augmented: Whether objects without an area may be what a transform left of them. They
            are left out, and otherwise they are errors.

    Returns:
        `class`, a label; `boxes` (M, 4) float32, `labels`, a list of labels, `ignored` (M,) bool,
        and `masks` (M, H, W) uint8 of 0 and 1; `semantic` (H, W) uint8. `labels` has None for
        objects without one.

    Raises:
        DataError: If a target is not of this form, or does not fit the image.
    """
    raw = {key: value for key, value in raw.items() if value is not None}
    targets: dict[str, Any] = {}
    if "class" in raw:
        targets["class"] = checked_label(raw["class"], where("class"))
    if "boxes" in raw or "masks" in raw:
        targets |= _objects(raw, size, where, is_augmented)
    elif "labels" in raw:
        targets["labels"] = _labels(raw["labels"], where("labels"))
    if "semantic" in raw:
        targets["semantic"] = _semantic(raw["semantic"], size, where("semantic"))
    return targets


def _objects(
    raw: Mapping[str, Any], size: tuple[int, int], where: Where, is_augmented: bool
) -> dict[str, Any]:
    """Return `boxes`, `labels`, `ignored`, and `masks` if there are any."""
    masks = _masks(raw["masks"], size, where("masks")) if "masks" in raw else None
    if "boxes" in raw:
        boxes, place = _boxes(raw["boxes"], where("boxes")), where("boxes")
    else:
        assert masks is not None
        boxes, place = mask_boxes(masks), where("masks")
    labels: list[Label | None] = [None] * len(boxes)
    if "labels" in raw:
        labels = _labels(raw["labels"], where("labels"))  # type: ignore[assignment]
    crowds = torch.as_tensor(raw.get("iscrowd", torch.zeros(len(boxes)))).reshape(-1) != 0
    for key, rows in (("labels", labels), ("masks", masks), ("iscrowd", crowds)):
        if rows is not None and len(rows) != len(boxes):
            raise DataError(
                f"{where(key)}: has {len(rows)} for {len(boxes)} objects; give one for each"
            )
    areas = [_has_area(box, size, place, number) for number, box in enumerate(boxes.tolist())]
    keep = torch.tensor(areas, dtype=torch.bool)
    if masks is not None:
        keep &= masks.flatten(1).any(dim=1).bool()
    if not is_augmented and not keep.all():
        number = int(keep.int().argmin())
        raise DataError(f"{place}[{number}]: has no area, or an empty mask; leave out the object")
    rows = keep.nonzero().flatten()
    objects = {
        "boxes": clip_boxes_to_image(boxes[rows], size),
        "labels": [labels[row] for row in rows.tolist()],
        "ignored": crowds[rows],
    }
    return objects if masks is None else {**objects, "masks": masks[rows]}


def _has_area(box: list[float], size: tuple[int, int], where: str, number: int) -> bool:
    """Return whether a box has an area.

    Raises:
        DataError: If it is not a box in the image.
    """
    left, top, right, bottom = box
    kind = fault((left, top, right, bottom), size)
    if kind in (None, "box without area"):
        return kind is None
    text = ", ".join(f"{value:g}" for value in box)
    raise DataError(
        f"{where}[{number}]: {kind}: ({text}) in {size[1]}x{size[0]} pixels; {_IN_PIXELS}"
    )


def _boxes(value: Any, where: str) -> Tensor:
    """Return boxes as (M, 4) float32 xyxy."""
    try:
        if isinstance(value, tv_tensors.BoundingBoxes):
            value = functional.convert_bounding_box_format(value, new_format="XYXY")
        boxes = _tensor(value).to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: are not numbers (M, 4): {quoted(value)}") from error
    boxes = boxes.reshape(0, 4) if not boxes.numel() else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"{where}: have the shape {tuple(boxes.shape)}, and not (M, 4)")
    return boxes


def _labels(value: Any, where: str) -> list[Label]:
    """Return the labels of objects."""
    values = value.tolist() if isinstance(value, np.ndarray | Tensor) else value
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise DataError(f"{where}: {quoted(value)} is not a list of labels, one for each object")
    return [checked_label(label, f"{where}[{number}]") for number, label in enumerate(values)]


def _masks(value: Any, size: tuple[int, int], where: str) -> Tensor:
    """Return the masks of objects as (M, H, W) uint8 of 0 and 1."""
    try:
        masks = _tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: are not masks (M, H, W): {error}") from error
    if not masks.numel():
        return torch.zeros(0, *size, dtype=torch.uint8)
    if masks.ndim != 3 or tuple(masks.shape[1:]) != size:
        raise DataError(f"{where}: have the shape {tuple(masks.shape)}, and not {('M', *size)}")
    return (masks != 0).byte()


def _tensor(value: Any) -> Tensor:
    """Return numbers as a plain tensor on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu().as_subclass(Tensor)
    if isinstance(value, list | tuple):
        value = [
            np.asarray(row.detach().cpu() if isinstance(row, Tensor) else row) for row in value
        ]
    return torch.from_numpy(np.array(value))


def _semantic(value: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Return the values of the pixels, (H, W) uint8."""
    if is_file(value):
        with explained(where), picture_file(Path(value)) as file:
            check_lossless(Path(value), file.format or "")
            ImageOps.exif_transpose(file, in_place=True)
            values = _values(file, where)
    elif isinstance(value, Image.Image):
        values = _values(value, where)
    elif isinstance(value, np.ndarray | Tensor):
        values = _tensor(value).numpy()
    else:
        raise DataError(
            f"{where}: is of type {type(value).__name__}; give a path, a Pillow image, an array or "
            "a tensor (H, W)"
        )
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.shape != size:
        raise DataError(
            f"{where}: has the shape {values.shape}, and its image is {size[0]}x{size[1]} pixels"
        )
    if values.dtype.kind not in "bui":
        raise DataError(f"{where}: has values of {values.dtype}; give whole numbers of classes")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > IGNORED:
        raise DataError(
            f"{where}: has values from {low} to {high}; give classes from 0 to 253, and {IGNORED} "
            "for pixels that are ignored"
        )
    return values.astype(np.uint8)


def _values(image: Image.Image, where: str) -> np.ndarray:
    if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
        raise DataError(
            f"{where}: is an image of mode {image.mode}, and not one number for each pixel; give "
            "grey or a palette"
        )
    return np.asarray(image)
