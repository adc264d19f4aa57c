"""Objects in an image: boxes, and masks cropped to the objects."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gvt import DataError, Prediction
from gvt.geometry import boxes_to_original, canvas_pixels, mask_boxes
from gvt.printable import printable
from gvt.vision.coco import RLE, encoded
from gvt_predict.tiles import Box


@dataclass(frozen=True)
class Part:
    """A mask, cropped to its object.

    Attributes:
        top: First row in the image.
        left: First column in the image.
        pixels: The mask, (h, w) bool.
    """

    top: int
    left: int
    pixels: Tensor


@dataclass(frozen=True)
class Objects:
    """The objects predicted in an image, on the CPU.

    Attributes:
        boxes: Boxes, (M, 4) float32 xyxy in pixels of the image.
        labels: Class indices, (M,) int64.
        scores: Scores, (M,) float32.
        masks: M masks, if the head predicts them.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: tuple[Part, ...] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def picked(self, rows: Tensor) -> Objects:
        """Return the objects at the given rows, (K,) int64, in that order."""
        masks = self.masks and tuple(self.masks[row] for row in rows.tolist())
        return Objects(self.boxes[rows], self.labels[rows], self.scores[rows], masks)

    def above(self, score: float) -> Objects:
        """Return the objects with at least this score."""
        return self.picked((self.scores >= score).nonzero().flatten())

    def prediction(self, size: tuple[int, int] | None = None) -> Prediction:
        """Return `boxes`, `labels`, `scores`, and for a size (H, W) also `masks` (M, H, W) bool."""
        prediction = {"boxes": self.boxes, "labels": self.labels, "scores": self.scores}
        if size is not None and self.masks is not None:
            prediction["masks"] = torch.zeros(len(self), *size, dtype=torch.bool)
            for whole, part in zip(prediction["masks"], self.masks, strict=True):
                height, width = part.pixels.shape
                whole[part.top : part.top + height, part.left : part.left + width] = part.pixels
        return prediction

    def segmentations(self, size: tuple[int, int]) -> list[RLE] | None:
        """Return the masks as run lengths in an image of size (H, W)."""
        if self.masks is None:
            return None
        return [encoded(part.pixels, part.top, part.left, size) for part in self.masks]


def objects_in(prediction: Prediction, geometry: Tensor, box: Box, source: str) -> Objects:
    """Convert a head's predicted objects from a canvas to pixels of the image.

    The result equals that of `gvt.geometry.to_original`, shifted to the part of the image that is
    on the canvas.

    Args:
        prediction: `boxes` (M, 4), `labels` and `scores` (M,), and optionally `masks` (M, h, w), on
            the canvas.
        geometry: Transform (3, 3) from the part to the canvas, without rotation.
        box: Part of the image.
        source: Name of the image in errors.

    Raises:
        DataError: If a box or a score is not finite.
    """
    boxes, scores = (prediction[key].detach().float().cpu() for key in ("boxes", "scores"))
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise DataError(
            f"{printable(source)}: a predicted box or score is not finite; the weights are "
            "damaged, or the training failed; use another checkpoint"
        )
    boxes = boxes_to_original(boxes, geometry, (box.bottom - box.top, box.right - box.left))
    boxes = boxes + boxes.new_tensor([box.left, box.top, box.left, box.top])
    masks = None
    if "masks" in prediction:
        masks = _parts(prediction["masks"].cpu().bool(), geometry, box)
    return Objects(boxes, prediction["labels"].cpu(), scores, masks)


def _parts(masks: Tensor, geometry: Tensor, box: Box) -> tuple[Part, ...]:
    """Return masks (M, h, w) of a canvas, sampled at the pixel centres of a part of the image."""
    rows = canvas_pixels(box.bottom - box.top, float(geometry[1, 1]), float(geometry[1, 2]))
    columns = canvas_pixels(box.right - box.left, float(geometry[0, 0]), float(geometry[0, 2]))
    extents = mask_boxes(masks).long()
    # Range of the image's rows and columns on the mask; both ascend.
    lefts, rights = (torch.searchsorted(columns, extents[:, n].contiguous()) for n in (0, 2))
    tops, bottoms = (torch.searchsorted(rows, extents[:, n].contiguous()) for n in (1, 3))
    bounds = torch.stack([tops, bottoms, lefts, rights], dim=1).tolist()
    return tuple(
        Part(box.top + top, box.left + left, mask[rows[top:bottom, None], columns[left:right]])
        for mask, (top, bottom, left, right) in zip(masks, bounds, strict=True)
    )
