"""The places of a pyramid, and which object each is to find."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor


class Places(NamedTuple):
    """The A places of all maps together; all float32.

    Attributes:
        points: (A, 2), x and y in pixels.
        boxes: (A, 4), squares around them of one stride.
        least: (A,), from which distance on a side of an object is theirs, in pixels.
        most: (A,), and below which one.
    """

    points: Tensor
    boxes: Tensor
    least: Tensor
    most: Tensor


def places_of(
    sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    ranges: Sequence[float],
    device: torch.device,
) -> Places:
    """Return the places, map by map and row by row.

    A cell's place is its left upper corner, as torchvision has it: there the odd kernels of a
    backbone look.

    Args:
        sizes: Of each map (h, w).
        strides: Of each map, in pixels.
        ranges: The distances at which maps take turns, one fewer than there are maps.
        device: Where they are to be.
    """
    found = []
    for (height, width), stride, least, most in zip(
        sizes, strides, (0, *ranges), (*ranges, inf), strict=True
    ):
        y = torch.arange(height, dtype=torch.float32, device=device) * stride
        x = torch.arange(width, dtype=torch.float32, device=device) * stride
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        points = torch.stack([columns.flatten(), rows.flatten()], dim=1)
        boxes = torch.cat([points - stride / 2, points + stride / 2], dim=1)
        limits = [points.new_full((len(points),), limit) for limit in (least, most)]
        found.append(Places(points, boxes, *limits))
    return Places(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def of_truth(places: Places, truth: Tensor, radius: float) -> Tensor:
    """Return which true box each place is to find, (A,) int64; -1 for none.

    One that it is in and near the middle of, and whose farthest side is its map's; of several the
    smallest.

    Args:
        places: The places.
        truth: (M, 4) xyxy in pixels.
        radius: How near, in strides.
    """
    if not len(truth):
        return torch.full_like(places.least, -1, dtype=torch.int64)
    middles = (truth[:, :2] + truth[:, 2:]) / 2
    strides = places.boxes[:, 2:3] - places.boxes[:, :1]
    apart = (places.points[:, None] - middles).abs().amax(dim=2)
    distances = torch.cat(
        [places.points[:, None] - truth[:, :2], truth[:, 2:] - places.points[:, None]], dim=2
    )
    farthest = distances.amax(dim=2)
    finds = (apart < radius * strides) & (distances.amin(dim=2) > 0)
    finds &= (farthest >= places.least[:, None]) & (farthest < places.most[:, None])
    areas = (truth[:, 2:] - truth[:, :2]).prod(dim=1)
    smallest, which = areas.where(finds, inf).min(dim=1)
    return which.where(smallest < inf, -1)
