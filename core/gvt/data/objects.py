"""Boxes, masks and labels of objects after geometric transforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from gvt.fields import field_of
from gvt.geometry import mask_boxes

LEAST_SIDE = 1.0
"""Least length of a box's shorter side, in pixels, for its object to be kept."""

_NEAR = 1.0
"""Tolerance between the edges of a box and its mask, in pixels: boxes are finer than masks."""


def of_objects(targets: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the targets with one row for each box: `boxes`, `labels`, `masks` and others."""
    if "boxes" not in targets:
        return {}
    rows = targets["boxes"].shape[:1]
    tensors = {k: v for k, v in targets.items() if isinstance(v, Tensor) and v.shape[:1] == rows}
    return {key: value for key, value in tensors.items() if not field_of(key).is_dense}


def picked(targets: Mapping[str, Any], keep: Tensor) -> dict[str, Any]:
    """Return the targets of the objects selected by a mask, (M,) bool."""
    if bool(keep.all()):
        return dict(targets)
    return {**targets, **{key: value[keep] for key, value in of_objects(targets).items()}}


def tidied(
    targets: Mapping[str, Any], size: tuple[int, int], before: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Return the targets with boxes clipped to the image, without objects that are not visible.

    A box that fitted its mask before, and still has an area, is fitted to its mask again, since a
    rotated or cropped box is larger than its object; an edge within a pixel of the mask's stays. An
    object whose box has a side below a pixel, or whose mask is empty, is dropped from all targets
    with one row for each box.

    Args:
        targets: Targets of the image, including `boxes` (M, 4).
        size: (H, W) of the image.
        before: Targets of the same objects before the transform; without, no box is fitted.
    """
    boxes = clip_boxes_to_image(targets["boxes"], size)
    visible = torch.ones(len(boxes), dtype=torch.bool)
    if "masks" in targets:
        hulls = mask_boxes(targets["masks"]).to(boxes.dtype)
        if "masks" in before:
            fitted = ((before["boxes"] - mask_boxes(before["masks"])).abs() <= _NEAR).all(dim=1)
            # Boxes without area stay empty: RandomIoUCrop removes objects so.
            fitted &= (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            loose = fitted[:, None] & ((boxes - hulls).abs() > _NEAR)
            boxes = torch.where(loose, hulls, boxes)
        visible = (hulls[:, 2:] > hulls[:, :2]).all(dim=1)
    large = (boxes[:, 2:] - boxes[:, :2] >= LEAST_SIDE).all(dim=1)
    return picked({**targets, "boxes": boxes}, large & visible)
