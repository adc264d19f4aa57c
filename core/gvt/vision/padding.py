"""Feature maps of images that are padded to one canvas, as if each image were alone."""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt.batch import Frame

__all__ = ["blanked", "inside", "is_padded", "pooled", "seen_frame", "without_padding"]


def is_padded(frame: Frame) -> bool:
    """Return whether any image is smaller than the canvas."""
    return any(size != frame.canvas for size in frame.sizes)


def seen_frame(frame: Frame, ignore_padding: bool) -> Frame:
    """Return the frame that a model computes with: images fill the canvas if padding counts."""
    return frame if ignore_padding else Frame((frame.canvas,) * len(frame.sizes), frame.canvas)


def without_padding(feature: Tensor, stride: int, frame: Frame) -> list[Tensor]:
    """Return the part of a map that shows each image, (1, C, h', w').

    A side that fills the canvas is kept whole, whatever its number of cells.

    Args:
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
    """
    parts = []
    for row, size in enumerate(frame.sizes):
        sides = zip(size, frame.canvas, strict=True)
        rows, columns = (None if side == whole else ceil(side / stride) for side, whole in sides)
        parts.append(feature[row : row + 1, :, :rows, :columns])
    return parts


def inside(feature: Tensor, stride: int, frame: Frame) -> Tensor:
    """Return which cells of a map (N, C, h, w) show an image and not padding, (N, 1, h, w) bool.

    Args:
        feature: The map.
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
    """
    cells = torch.full((feature.shape[0], 1, *feature.shape[-2:]), not is_padded(frame))
    for row, of_image in enumerate(without_padding(cells, stride, frame)):
        cells[row, :, : of_image.shape[2], : of_image.shape[3]] = True
    return cells.to(feature.device)


def blanked(feature: Tensor, stride: int, frame: Frame) -> Tensor:
    """Return a map (N, C, h, w) that is 0 in the padding, as convolutions see it around an image.

    Args:
        feature: The map.
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
    """
    return feature.where(inside(feature, stride, frame), 0) if is_padded(frame) else feature


def pooled(feature: Tensor, stride: int, frame: Frame, side: int) -> Tensor:
    """Return a map averaged to cells, (N, C, side, side), over each image without its padding.

    The cells of an image are the same in any batch. A map of this size is left as it is.

    Args:
        feature: The map, (N, C, h, w).
        stride: Pixels of the image to a cell of the map.
        frame: Sizes of the images.
        side: Cells along each side.
    """
    parts = without_padding(feature, stride, frame) if is_padded(frame) else [feature]
    # An exported program has no branch on sizes; pooling to the same size changes nothing.
    kept = None if torch.compiler.is_exporting() else (side, side)
    return torch.cat([p if p.shape[-2:] == kept else F.adaptive_avg_pool2d(p, side) for p in parts])
