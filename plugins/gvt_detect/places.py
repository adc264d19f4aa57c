"""The points of a feature pyramid, and their assignment to objects."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor


class Places(NamedTuple):
    """The A points of all maps; all float32.

    Attributes:
        points: (A, 2), x and y in pixels.
        boxes: (A, 4), squares around them with sides of one stride.
        least: (A,), smallest distance to the farthest side of a point's object, in pixels.
        most: (A,), limit of that distance.
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
    """Return the points, map by map in row-major order.

    The point of a cell is its upper left corner, as in torchvision, since the odd kernels of a
    backbone are centred there.

    Args:
        sizes: (h, w) of each map.
        strides: Stride of each map in pixels.
        ranges: Limits between the maps, one fewer than maps.
        device: Device of the result.
    """
    levels = []
    for (height, width), stride, least, most in zip(
        sizes, strides, (0, *ranges), (*ranges, inf), strict=True
    ):
        y = torch.arange(height, dtype=torch.float32, device=device) * stride
        x = torch.arange(width, dtype=torch.float32, device=device) * stride
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        points = torch.stack([columns.flatten(), rows.flatten()], dim=1)
        boxes = torch.cat([points - stride / 2, points + stride / 2], dim=1)
        limits = [torch.full_like(points[:, 0], limit) for limit in (least, most)]
        levels.append(Places(points, boxes, *limits))
    return Places(*(torch.cat(parts) for parts in zip(*levels, strict=True)))


def of_truth(places: Places, truth: Tensor, radius: float) -> Tensor:
    """Return the index of each point's true box, (A,) int64; -1 without one.

    A point is assigned a box that contains it, whose centre is near, and whose farthest side is
    within the limits of its map; the smallest one if there are several.

    Args:
        places: The points.
        truth: (M, 4) xyxy in pixels.
        radius: Largest distance from the centre, in strides.
    """
    if not len(truth):
        return torch.full_like(places.least, -1, dtype=torch.int64)
    middles = (truth[:, :2] + truth[:, 2:]) / 2
    strides = places.boxes[:, 2:3] - places.boxes[:, :1]
    offsets = (places.points[:, None] - middles).abs().amax(dim=2)
    distances = torch.cat(
        [places.points[:, None] - truth[:, :2], truth[:, 2:] - places.points[:, None]], dim=2
    )
    farthest = distances.amax(dim=2)
    fits = (offsets < radius * strides) & (distances.amin(dim=2) > 0)
    fits &= (farthest >= places.least[:, None]) & (farthest < places.most[:, None])
    areas = (truth[:, 2:] - truth[:, :2]).prod(dim=1)
    smallest, indices = areas.where(fits, inf).min(dim=1)
    return indices.where(smallest < inf, -1)
