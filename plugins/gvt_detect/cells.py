"""A feature map as a grid of cells that lies over the image alone, and not over its padding."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt import ConfigError
from gvt.batch import Frame


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
    rows, columns = (ceil(pixels / stride) for pixels in frame.canvas)
    if feature.shape[2] > rows + 1 or feature.shape[3] > columns + 1:
        raise ConfigError(
            f"a map of stride {stride} has {feature.shape[2]}x{feature.shape[3]} cells for a "
            f"picture of {frame.canvas[0]}x{frame.canvas[1]}: a backbone with valid convolutions "
            "keeps a margin, in which objects would be seen at other places"
        )
    if all(size == frame.canvas for size in frame.sizes):
        return _averaged(feature[:, :, :rows, :columns], side)
    parts = [
        _averaged(of_image[None, :, : ceil(height / stride), : ceil(width / stride)], side)
        for of_image, (height, width) in zip(feature, frame.sizes, strict=True)
    ]
    return torch.cat(parts)


def _averaged(feature: Tensor, side: int) -> Tensor:
    if tuple(feature.shape[-2:]) == (side, side):
        return feature
    return F.adaptive_avg_pool2d(feature, side)
