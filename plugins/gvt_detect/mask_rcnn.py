"""Mask R-CNN: Faster R-CNN with a mask for each object."""

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
"""Number of masks pasted into the image at a time, in float32, before they become bool."""


class MaskRCNN(FasterRCNN):
    """Mask R-CNN on any backbone, built from torchvision's layers.

    He et al. 2017, https://arxiv.org/abs/1703.06870. Weights have torchvision's names and shapes.
    Losses and predictions are those of torchvision's MaskRCNN; padding is ignored in training and
    prediction.

    Args:
        mask_size: Side of the features pooled for a mask. The mask is twice as fine.
        mask_layers: Channels of the convolutions on them.
        weights: Factors of the losses `objectness`, `rpn_box`, `classification`, `box` and
            `mask`, 1 by default.
        **faster_rcnn: Parameters of `FasterRCNN`.

    Raises:
        ValueError: If the backbone lacks a map, the maps differ in channels, the anchors do not
            fit them, there are no mask layers, or `weights` names an unknown loss.
    """

    needs = ("boxes", "labels", "masks")
    predicts = (*FasterRCNN.predicts, "masks")
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
            raise ValueError("mask_layers is empty; give the channels of at least one convolution")
        width = mask_layers[-1]
        self.roi_heads.mask_roi_pool = region_pooler(
            feature_info, self.maps, mask_size, self.settings.ignore_padding
        )
        self.roi_heads.mask_head = MaskRCNNHeads(self.channels, mask_layers, 1)
        # Input and hidden layer are equally wide, as in torchvision and the paper.
        self.roi_heads.mask_predictor = MaskRCNNPredictor(width, width, num_classes + 1)

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return parameters of a small example, for the conformance kit."""
        return {**FasterRCNN.gvt_example(folder), "mask_layers": [16, 16]}

    def region_losses(
        self, outputs: Outputs, regions: Regions, truth: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the losses of the sampled regions, and of the masks of those with an object."""
        losses = super().region_losses(outputs, regions, truth)
        objects = [labels > 0 for labels in regions.labels]
        boxes = [b[is_object] for b, is_object in zip(regions.boxes, objects, strict=True)]
        matched = [m[is_object] for m, is_object in zip(regions.matched, objects, strict=True)]
        # The border of the padding is not the border of a mask.
        sizes = outputs.sizes
        masks = [t["masks"][:, :h, :w] for t, (h, w) in zip(truth, sizes, strict=True)]
        losses["mask"] = maskrcnn_loss(
            self._mask_logits(outputs, boxes),
            boxes,
            masks,
            [image["labels"] for image in truth],
            matched,
        )
        return losses

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return `boxes`, `labels`, `scores` and `masks` of each image, by descending score."""
        predictions = super().predict(outputs)
        boxes = [prediction["boxes"] for prediction in predictions]
        logits = self._mask_logits(outputs, boxes)
        labels = [prediction["labels"] + 1 for prediction in predictions]
        masks = maskrcnn_inference(logits, labels)
        for prediction, small, size in zip(predictions, masks, outputs.sizes, strict=True):
            prediction["masks"] = _pasted(small, prediction["boxes"], size, outputs.canvas)
        return predictions

    def _truth(self, targets: Targets) -> list[dict[str, Tensor]]:
        pairs = zip(super()._truth(targets), targets["masks"], strict=True)
        return [{**image, "masks": masks} for image, masks in pairs]

    def _mask_logits(self, outputs: Outputs, boxes: list[Tensor]) -> Tensor:
        """Return a mask of each class for all boxes, (R, 1 + K, 2 mask_size, 2 mask_size)."""
        pooled = self.roi_heads.mask_roi_pool(outputs.maps, boxes, outputs.sizes)
        logits: Tensor = self.roi_heads.mask_predictor(self.roi_heads.mask_head(pooled))
        return logits.float()


def _pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
    """Paste masks (M, 1, h, w) into the image at their boxes (M, 4); return (M, H, W) bool."""
    height, width = size
    whole = torch.zeros(len(boxes), *canvas, dtype=torch.bool, device=masks.device)
    for start in range(0, len(boxes), PASTED):
        part = slice(start, start + PASTED)
        pasted = paste_masks_in_image(masks[part], boxes[part], size)
        whole[part, :height, :width] = pasted[:, 0] > 0.5
    return whole
