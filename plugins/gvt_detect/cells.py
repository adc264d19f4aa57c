"""Feature maps as grids of cells over each image without its padding."""

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
    """Return the name of a feature map, by default the coarsest.

    Raises:
        ValueError: If there is no such map.
    """
    if name is not None and name not in feature_info:
        raise ValueError(f"feature {name!r}: the backbone has {', '.join(feature_info)}")
    return list(feature_info)[-1] if name is None else name


def pooled(feature: Tensor, stride: int, frame: Frame, side: int) -> Tensor:
    """Return a map averaged to cells, (N, C, side, side), over each image without its padding.

    The cells of an image are the same in any batch. A map of this size is left as it is.

    Args:
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
        side: Cells along each side.

    Raises:
        ConfigError: If the map covers more than the image.
    """
    check_sizes([feature.shape[-2:]], [stride], frame.canvas)
    return padding.pooled(_cut(feature, stride, frame.canvas), stride, frame, side)


def without_padding(
    layers: Callable[[Tensor], Tensor], feature: Tensor, stride: int, frame: Frame
) -> Tensor:
    """Apply layers to each image's part of a map, as if it were not padded; (N, C', h, w).

    The result is 0 in the padding, as convolutions see it around an image. Without padding all
    images are computed together.

    Args:
        layers: Layers that keep height and width.
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
    """
    if padding.is_padded(frame):
        parts, sizes = feature.split(1), frame.sizes
    else:
        parts, sizes = (feature,), (frame.canvas,)
    rows, columns = feature.shape[-2:]
    outputs = []
    for part, size in zip(parts, sizes, strict=True):
        output = layers(_cut(part, stride, size))
        outputs.append(F.pad(output, (0, columns - output.shape[3], 0, rows - output.shape[2])))
    return torch.cat(outputs)


def _cut(feature: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Return the part of a map, (N, C, h, w), that covers an image of a size in pixels."""
    return feature[..., : ceil(size[0] / stride), : ceil(size[1] / stride)]
