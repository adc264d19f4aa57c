"""Mask R-CNN: Faster R-CNN with a mask of each object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import PositiveInt
from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import (
    maskrcnn_inference,
    maskrcnn_loss,
    paste_masks_in_image,
)

from gvt import PassedTo, Targets

from .faster_rcnn import FasterRCNN, Outputs
from .maps import region_pooler
from .regions import Regions

PASTED = 8
"""Masks that are put into the picture at a time, in float32, before they become bool."""


class MaskRCNN(FasterRCNN):
    """Faster R-CNN with a mask of each object, by torchvision's own parts.

    He and others, 2017, https://arxiv.org/abs/1703.06870. Weights have torchvision's names and
    shapes. Losses and predictions are those of torchvision's MaskRCNN, and nothing is learned
    from or found in the padding of images.

    Args:
        mask_size: Side of the features that are pooled for a mask, which is twice as fine.
        mask_layers: Channels of the convolutions on them.
        weights: Factors of the losses `objectness`, `rpn_box`, `classification`, `box` and
            `mask`, 1 unless given.
        **faster_rcnn: Those of `FasterRCNN`.

    Raises:
        ValueError: If the maps are not there or not equally wide, the anchors do not fit them,
            there are no mask layers, or a weight is for no loss.
    """

    needs = ("boxes", "labels", "masks")
    losses = (*FasterRCNN.losses, "mask")

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        mask_size: PositiveInt = 14,
        mask_layers: tuple[PositiveInt, ...] = (256, 256, 256, 256),
        **faster_rcnn: Annotated[Any, PassedTo(FasterRCNN)],
    ) -> None:
        super().__init__(feature_info, num_classes, **faster_rcnn)
        if not mask_layers:
            raise ValueError("mask_layers is empty; a mask takes at least one")
        width = mask_layers[-1]
        self.roi_heads.mask_roi_pool = region_pooler(feature_info, self.maps, mask_size)
        self.roi_heads.mask_head = MaskRCNNHeads(self.channels, mask_layers, 1)
        # As wide within as without, as in torchvision's and in the paper.
        self.roi_heads.mask_predictor = MaskRCNNPredictor(width, width, num_classes + 1)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a narrow one to try."""
        return {**FasterRCNN.gvt_example(folder), "mask_layers": [16, 16]}

    def region_losses(
        self, outputs: Outputs, regions: Regions, truth: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the losses of the sampled regions, and of the masks of those with an object."""
        found = super().region_losses(outputs, regions, truth)
        objects = [labels > 0 for labels in regions.labels]
        boxes = [b[there] for b, there in zip(regions.boxes, objects, strict=True)]
        matched = [m[there] for m, there in zip(regions.matched, objects, strict=True)]
        # Where the padding begins, a mask does not end.
        sizes = outputs.sizes
        masks = [t["masks"][:, :h, :w] for t, (h, w) in zip(truth, sizes, strict=True)]
        found["mask"] = maskrcnn_loss(
            self._mask_logits(outputs, boxes),
            boxes,
            masks,
            [of_image["labels"] for of_image in truth],
            matched,
        )
        return found

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels`, `scores` and `masks`, the best one first."""
        found = super().predict(outputs)
        boxes = [of_image["boxes"] for of_image in found]
        logits = self._mask_logits(outputs, boxes)
        shares = maskrcnn_inference(logits, [of_image["labels"] + 1 for of_image in found])
        sizes = outputs.sizes
        for of_image, small, size in zip(found, shares, sizes, strict=True):
            of_image["masks"] = _pasted(small, of_image["boxes"], size, outputs.canvas)
        return found

    def _truth(self, targets: Targets) -> list[dict[str, Tensor]]:
        pairs = zip(super()._truth(targets), targets["masks"], strict=True)
        return [{**of_image, "masks": masks} for of_image, masks in pairs]

    def _mask_logits(self, outputs: Outputs, boxes: list[Tensor]) -> Tensor:
        """Return of all boxes a mask of each class, (R, 1 + K, 2 mask_size, 2 mask_size)."""
        pooled = self.roi_heads.mask_roi_pool(outputs.maps, boxes, outputs.sizes)
        logits: Tensor = self.roi_heads.mask_predictor(self.roi_heads.mask_head(pooled))
        return logits.float()


def _pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
    """Return masks (M, 1, h, w) of boxes (M, 4) as they lie in the picture, (M, H, W) bool."""
    height, width = size
    whole = torch.zeros(len(boxes), *canvas, dtype=torch.bool, device=masks.device)
    for start in range(0, len(boxes), PASTED):
        some = slice(start, start + PASTED)
        pasted = paste_masks_in_image(masks[some], boxes[some], size)
        whole[some, :height, :width] = pasted[:, 0] > 0.5
    return whole
