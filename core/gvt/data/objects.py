"""The objects of a picture after its geometry was changed: boxes, and what goes with each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

from gvt.batch import DENSE_KEYS
from gvt.geometry import mask_boxes

LEAST_SIDE = 1.0
"""Pixels of a box's shorter side below which nothing is left of an object."""

_NEAR = 1.0
"""Pixels within which a box's edge is that of its mask: annotations are finer than masks."""


def of_objects(targets: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return those targets that have a row for each box: `boxes`, `labels`, `masks` and others."""
    if "boxes" not in targets:
        return {}
    count = len(targets["boxes"])
    return {
        key: value
        for key, value in targets.items()
        if key not in DENSE_KEYS
        and isinstance(value, Tensor)
        and value.ndim > 0
        and len(value) == count
    }


def picked(targets: Mapping[str, Any], keep: Tensor) -> dict[str, Any]:
    """Return the targets with those objects only that are to be kept, (M,) bool."""
    if bool(keep.all()):
        return dict(targets)
    return {**targets, **{key: value[keep] for key, value in of_objects(targets).items()}}


def tight(boxes: Tensor, masks: Tensor) -> Tensor:
    """Return which boxes (M, 4) end where their masks (M, H, W) do, within a pixel, (M,) bool."""
    return ((boxes - mask_boxes(masks)).abs() <= _NEAR).all(dim=1)


def tidied(targets: Mapping[str, Any], size: tuple[int, int], were_tight: Tensor) -> dict[str, Any]:
    """Return the targets with boxes that are inside the image, and no object that is not seen.

    Boxes are clipped to the image. Those that ended where their masks did, and still have an area,
    are made to do so again, since a turned or cut box is larger than what it holds; an edge within
    a pixel of the mask's stays. An object whose box has a side below a pixel, or whose mask is
    empty, is dropped from all that has a row for each.

    Args:
        targets: What is known of the image, `boxes` (M, 4) among it.
        size: (H, W) of the image.
        were_tight: Which boxes ended where their masks did before, (M,) bool.
    """
    boxes = clip_boxes_to_image(targets["boxes"], size)
    seen = torch.ones(len(boxes), dtype=torch.bool)
    if "masks" in targets:
        hulls = mask_boxes(targets["masks"]).to(boxes.dtype)
        # What a transform took away for good, as RandomIoUCrop does, does not come back.
        there = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        loose = (were_tight & there)[:, None] & ((boxes - hulls).abs() > _NEAR)
        boxes = torch.where(loose, hulls, boxes)
        seen = (hulls[:, 2:] > hulls[:, :2]).all(dim=1)
    large = torch.zeros_like(seen)
    large[remove_small_boxes(boxes, LEAST_SIDE)] = True
    return picked({**targets, "boxes": boxes}, large & seen)
