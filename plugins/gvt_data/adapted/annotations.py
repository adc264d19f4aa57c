"""Targets that are lists of annotations in COCO's format, as torchvision's `CocoDetection` has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gvt import DataError

from ..boxes.outlines import drawn, why_not_drawn


def are_annotations(target: Any) -> bool:
    """Return whether a target is a list of annotations; an empty list is one without objects."""
    return isinstance(target, list) and all(
        isinstance(row, Mapping) and {"bbox", "category_id"} <= row.keys() for row in target
    )


def of_annotations(
    rows: Sequence[Mapping[str, Any]], size: tuple[int, int], where: str
) -> dict[str, Any]:
    """Return `boxes`, `labels` and `iscrowd` of annotations, and `masks` if all have outlines.

    Args:
        rows: The annotations, with boxes (left, top, width, height).
        size: (H, W) of the image.
        where: Where they are, for messages.

    Raises:
        DataError: If a box or an outline is not valid.
    """
    try:
        boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: bbox: is not left, top, width and height: {error}") from error
    boxes[:, 2:] += boxes[:, :2]
    targets = {
        "boxes": boxes,
        "labels": [row["category_id"] for row in rows],
        "iscrowd": [bool(row.get("iscrowd")) for row in rows],
    }
    outlines = [row.get("segmentation") for row in rows]
    if not all(outlines):
        return targets
    masks = np.zeros((len(rows), *size), np.uint8)
    for number, outline in enumerate(outlines):
        if reason := why_not_drawn(outline, size):
            raise DataError(f"{where}[{number}]: segmentation cannot be drawn: {reason}")
        masks[number] = drawn(outline, size)
    return {**targets, "masks": masks}
