"""Objects in a picture: boxes, and masks that are kept no larger than the objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gvt.errors import DataError
from gvt.geometry import boxes_through, canvas_pixels, mask_boxes
from gvt.interfaces import Prediction
from gvt.printable import printable
from gvt.vision.coco import RLE, encoded
from gvt_predict.tiles import Box


@dataclass(frozen=True)
class Part:
    """A mask as far as there is something in it.

    Attributes:
        top: Its first row in the picture.
        left: Its first column there.
        pixels: (h, w) bool.
    """

    top: int
    left: int
    pixels: Tensor


@dataclass(frozen=True)
class Objects:
    """What is found in a picture, on the CPU.

    Attributes:
        boxes: (M, 4) float32 xyxy in pixels of the picture.
        labels: (M,) int64.
        scores: (M,) float32.
        masks: M of them, if the head makes any.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: tuple[Part, ...] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def picked(self, rows: Tensor) -> Objects:
        """Return the objects of these rows, (K,) int64, in their order."""
        masks = self.masks and tuple(self.masks[row] for row in rows.tolist())
        return Objects(self.boxes[rows], self.labels[rows], self.scores[rows], masks)

    def above(self, score: float) -> Objects:
        """Return those with at least this score."""
        return self.picked((self.scores >= score).nonzero().flatten())

    def prediction(self, size: tuple[int, int] | None = None) -> Prediction:
        """Return `boxes`, `labels` and `scores`, and of a size also `masks` (M, H, W) bool."""
        found: dict[str, Any] = {"boxes": self.boxes, "labels": self.labels, "scores": self.scores}
        if size is not None and self.masks is not None:
            found["masks"] = torch.zeros(len(self), *size, dtype=torch.bool)
            for whole, part in zip(found["masks"], self.masks, strict=True):
                height, width = part.pixels.shape
                whole[part.top : part.top + height, part.left : part.left + width] = part.pixels
        return found

    def segmentations(self, size: tuple[int, int]) -> list[RLE] | None:
        """Return the masks as run lengths of a picture's size (H, W)."""
        if self.masks is None:
            return None
        return [encoded(part.pixels, part.top, part.left, size) for part in self.masks]


def objects_in(said: Prediction, geometry: Tensor, box: Box, source: str) -> Objects:
    """Return the objects that a head found on a canvas, in pixels of the picture.

    They are what `gvt.geometry.to_original` makes of them, moved to where the part of the picture
    is that was shown.

    Args:
        said: `boxes` (M, 4), `labels` and `scores` (M,), perhaps `masks` (M, h, w) of the canvas.
        geometry: (3, 3), from the part's to canvas coordinates; rows stay rows.
        box: The part of the picture.
        source: What an error names.

    Raises:
        DataError: If a box or a score is not a number.
    """
    boxes, scores = (said[key].detach().float().cpu() for key in ("boxes", "scores"))
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise DataError(
            f"{printable(source)}: a predicted box or score is not a number; the networks are "
            "damaged, or their training failed"
        )
    height, width = box.bottom - box.top, box.right - box.left
    limit = boxes.new_tensor([width, height, width, height])
    inside = boxes_through(geometry.inverse(), boxes).clamp(min=0).minimum(limit)
    moved = inside + boxes.new_tensor([box.left, box.top, box.left, box.top])
    masks = _parts(said["masks"].cpu().bool(), geometry, box) if "masks" in said else None
    return Objects(moved, said["labels"].cpu(), scores, masks)


def _parts(masks: Tensor, geometry: Tensor, box: Box) -> tuple[Part, ...]:
    """Return masks (M, h, w) of a canvas at the pixel centres of the picture's part."""
    rows = canvas_pixels(box.bottom - box.top, float(geometry[1, 1]), float(geometry[1, 2]))
    columns = canvas_pixels(box.right - box.left, float(geometry[0, 0]), float(geometry[0, 2]))
    extents = mask_boxes(masks).long()
    # Those of the picture's rows and columns, which rise, that lie on the mask's.
    lefts, rights = (torch.searchsorted(columns, extents[:, n].contiguous()) for n in (0, 2))
    tops, bottoms = (torch.searchsorted(rows, extents[:, n].contiguous()) for n in (1, 3))
    bounds = torch.stack([tops, bottoms, lefts, rights], dim=1).tolist()
    return tuple(
        Part(box.top + top, box.left + left, mask[rows[top:bottom, None], columns[left:right]])
        for mask, (top, bottom, left, right) in zip(masks, bounds, strict=True)
    )
