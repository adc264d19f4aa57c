"""A feature map as a grid of cells that lies over the image alone, and not over its padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt import Frame
from gvt.vision import padding

from .maps import check_sizes


def map_to_look_at(feature_info: Mapping[str, tuple[int, int]], name: str | None) -> str:
    """Return the name of a feature map, that of the coarsest one unless one is given.

    Raises:
        ValueError: If there is no such map.
    """
    if name is not None and name not in feature_info:
        raise ValueError(f"feature {name!r}: the backbone has {', '.join(feature_info)}")
    return list(feature_info)[-1] if name is None else name


def pooled(feature: Tensor, stride: int, frame: Frame, side: int) -> Tensor:
    """Return what a map has of each image, averaged to cells, (N, C, side, side).

    Each image is divided by itself, without its padding, so that its cells mean the same in any
    batch. What has this size already is left as it is.

    Args:
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
        side: Cells along each side.

    Raises:
        ConfigError: If the map shows more than the picture.
    """
    check_sizes([feature.shape[-2:]], [stride], frame.canvas)
    return padding.pooled(_cut(feature, stride, frame.canvas), stride, frame, side)


def without_padding(
    layers: Callable[[Tensor], Tensor], feature: Tensor, stride: int, frame: Frame
) -> Tensor:
    """Return what layers make of a map of each image, as if it were not padded, (N, C', h, w).

    In the padding it is 0, as what convolutions see around a picture. Where there is none, all
    images go through the layers together.

    Args:
        layers: They leave height and width as they are.
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
    """
    parts, sizes = feature.split(1), frame.sizes
    if not padding.is_padded(frame):
        parts, sizes = (feature,), (frame.canvas,)
    rows, columns = feature.shape[-2:]
    done = []
    for part, size in zip(parts, sizes, strict=True):
        found = layers(_cut(part, stride, size))
        done.append(F.pad(found, (0, columns - found.shape[3], 0, rows - found.shape[2])))
    return torch.cat(done)


def _cut(feature: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Return the part of a map, (N, C, h, w), that shows an image of a size in pixels."""
    return feature[..., : ceil(size[0] / stride), : ceil(size[1] / stride)]
