"""Map predictions from the canvas of the model back to the original image, and the reverse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gvt.batch import Batch, Record
from gvt.errors import DataError
from gvt.fields import field_of
from gvt.interfaces import Prediction
from gvt.predictions import by_head

__all__ = [
    "boxes_through",
    "boxes_to_original",
    "canvas_pixels",
    "canvas_points",
    "is_spatial",
    "maps_to_original",
    "mask_boxes",
    "scores_of_pixels",
]


def to_original(predictions: list[Prediction], records: Sequence[Record]) -> list[Prediction]:
    """Return the predictions in pixels of the original images, each spatial key by its field.

    Boxes become the axis-parallel hull of their mapped corners, clipped to the image. Masks and
    semantic maps are sampled at the nearest canvas pixel; outside the canvas a mask is 0 and a
    semantic map 255. The scores of pixels, which would be the largest of all, are left out.

    Raises:
        DataError: If the geometry of a sample is not known.
    """
    parts = [by_head(prediction) for prediction in predictions]
    if not any(is_spatial(part) for heads in parts for part in heads.values()):
        return predictions
    mapped = [
        {head: _one_to_original(part, record) for head, part in heads.items()}
        for heads, record in zip(parts, records, strict=True)
    ]
    return [heads.get("", heads) for heads in mapped]


def is_spatial(values: Iterable[str]) -> bool:
    """Return whether a prediction or a target has a key in pixels of the image."""
    return any(field_of(key).is_spatial for key in values)


def to_canvas(predictions: list[Prediction], batch: Batch) -> list[Prediction]:
    """Return predictions in pixels of the original images in those of a batch's canvas.

    Raises:
        DataError: If a sample's geometry is not known.
    """
    # The reverse mapping, with the canvas in the place of the original.
    reversed_records = [
        replace(record, size=size, geometry=g if (g := record.geometry) is None else g.inverse())
        for record, size in zip(batch.records, batch.frame.sizes, strict=True)
    ]
    return to_original(predictions, reversed_records)


def boxes_through(matrix: Tensor, boxes: Tensor) -> Tensor:
    """Return (M, 4) boxes, the hulls of the corners of boxes mapped by a (3, 3) matrix."""
    exact = boxes.cpu().double()  # some accelerators have no float64
    x, y = exact[:, [0, 2, 0, 2]], exact[:, [1, 1, 3, 3]]
    corners = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ matrix.T
    points = corners[..., :2] / corners[..., 2:]
    hull = torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=-1)
    return hull.to(boxes.device, boxes.dtype)


def boxes_to_original(boxes: Tensor, geometry: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes (M, 4) of a canvas in pixels of the original, clipped to its (H, W).

    Args:
        boxes: The boxes, in pixels of the canvas.
        geometry: (3, 3), from original to canvas coordinates.
        size: The original's (H, W).
    """
    limit = boxes.new_tensor(size[::-1] * 2)  # (W, H, W, H)
    return boxes_through(geometry.inverse(), boxes).clamp(min=0).minimum(limit)


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the smallest boxes around masks (M, H, W), (M, 4) float32; zeros for an empty one.

    A pixel reaches from its number to the next, so that a mask of one pixel has a box of area 1.
    """
    height, width = masks.shape[-2:]
    if not masks.numel():
        return torch.zeros(len(masks), 4, device=masks.device)
    columns, rows = (masks.amax(dim=side) > 0 for side in (-2, -1))
    edges = [
        columns.int().argmax(dim=1),  # the first of the largest
        rows.int().argmax(dim=1),
        width - columns.flip(1).int().argmax(dim=1),
        height - rows.flip(1).int().argmax(dim=1),
    ]
    return torch.stack(edges, dim=1).float() * columns.any(dim=1, keepdim=True)


def scores_of_pixels(prediction: Mapping[str, Any]) -> Tensor | None:
    """Return the scores of one head's prediction if each pixel has its own, (K, H, W)."""
    scores = prediction.get("scores")
    has_maps = isinstance(scores, Tensor) and scores.ndim == 3
    return scores if has_maps and is_spatial(prediction) else None


def _one_to_original(prediction: Prediction, record: Record) -> Prediction:
    if not is_spatial(prediction):
        return prediction
    if record.geometry is None:
        raise DataError(
            f"{record.source}: its geometry was changed by a transform that cannot be undone, "
            "so predictions cannot be placed in the original image"
        )
    mapped = dict(prediction)
    if scores_of_pixels(prediction) is not None:
        del mapped["scores"]
    for key in prediction:
        if (field := field_of(key)).is_spatial:
            mapped[key] = field.to_original(prediction[key], record)
    return mapped


def maps_to_original(maps: Tensor, record: Record, outside: int) -> Tensor:
    """Return (M, H, W) canvas maps at the pixel centres of the original, `outside` elsewhere."""
    assert record.geometry is not None
    if axis_parallel(record.geometry):
        return _picked(maps, record.geometry, record.size, outside)
    return _turned(maps, record.geometry, record.size, outside)


def axis_parallel(matrix: Tensor) -> bool:
    """Return whether rows stay rows and columns columns, as in all that image readers do."""
    rows = torch.tensor([[0.0, 1, 0], [1, 0, 0], [1, 1, 0]], dtype=torch.bool)
    return not bool(matrix.cpu()[rows].any()) and float(matrix[2, 2]) == 1


def _picked(maps: Tensor, matrix: Tensor, size: tuple[int, int], outside: int) -> Tensor:
    """Return maps at the pixel centres of the original, by rows and columns of the canvas."""
    height, width = maps.shape[-2:]
    rows = canvas_pixels(size[0], float(matrix[1, 1]), float(matrix[1, 2]))[:, None]
    columns = canvas_pixels(size[1], float(matrix[0, 0]), float(matrix[0, 2]))
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    values = maps[:, rows.to(maps.device), columns.to(maps.device)]
    return values if is_inside.all() else values.masked_fill_(~is_inside.to(maps.device), outside)


def canvas_points(count: int, scale: float, shift: float) -> Tensor:
    """Return the centres of the original's pixels along one side on the canvas, (count,) float64.

    Args:
        count: The number of pixels of the original along that side.
        scale: The factor from original to canvas coordinates.
        shift: The offset that is added to the product.
    """
    return (torch.arange(count, dtype=torch.float64) + 0.5) * scale + shift


def canvas_pixels(count: int, scale: float, shift: float) -> Tensor:
    """Return the canvas pixels, (count,) int64, that `canvas_points` lie in."""
    return canvas_points(count, scale, shift).floor().long()


def _turned(maps: Tensor, matrix: Tensor, size: tuple[int, int], outside: int) -> Tensor:
    """Return maps at the pixel centres for any matrix, at several times the memory."""
    rows, columns = maps.shape[-2:]
    y, x = torch.meshgrid(*(canvas_points(side, 1, 0) for side in size), indexing="ij")
    centres = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ matrix.T
    points = centres[..., :2] / centres[..., 2:]
    grid = points / torch.tensor([columns, rows], dtype=torch.float64) * 2 - 1
    grid = grid.to(maps.device, torch.float32).expand(len(maps), -1, -1, -1)
    shifted = (maps.float() - outside)[:, None]  # so that the zeros outside are `outside`
    values = F.grid_sample(shifted, grid, mode="nearest", align_corners=False)
    return (values[:, 0] + outside).to(maps.dtype)
