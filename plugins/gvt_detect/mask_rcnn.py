"""Mask R-CNN: Faster R-CNN with a mask of each object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import (
    maskrcnn_inference,
    maskrcnn_loss,
    paste_masks_in_image,
)

from gvt import Targets

from .faster_rcnn import FasterRCNN, Outputs
from .maps import region_pooler
from .regions import BoxLoss, Regions, SoftNMS
from .types import Share

PASTED = 8
"""Masks that are put into the picture at a time, in float32, before they become bool."""


class MaskRCNN(FasterRCNN):
    """Faster R-CNN with a mask of each object, by torchvision's own parts.

    He and others, 2017, https://arxiv.org/abs/1703.06870. Weights have torchvision's names and
    shapes. Losses and predictions are those of torchvision's MaskRCNN, and nothing is learned
    from or found in the padding of images.

    Args:
        feature_info: Of each feature map its (channels, stride).
        num_classes: Number of classes.
        maps: Names of the maps to look at, equally wide. Unless given: of a pyramid those of
            stride 4 and more, otherwise the coarsest one of stride 16 or less.
        anchor_sizes: Of each map the sides of its anchors in pixels. Unless given: 8 strides on
            each of several maps, and 2 to 32 on a single one.
        aspect_ratios: Height over width of the anchors.
        roi_size: Side of the features that are pooled from a region.
        hidden: Width of the two dense layers on them.
        mask_size: Side of the features that are pooled for a mask, which is twice as fine.
        mask_layers: Channels of the convolutions on them.
        rpn_iou: An anchor is positive from the first IoU on, and negative below the second.
        rpn_batch: Anchors of an image that the losses are taken of.
        rpn_positive: Largest share of positive ones among them.
        rpn_nms: IoU above which the less likely of two proposals is dropped.
        proposals_train: Proposals of an image in training: of each map before suppression, and
            of all after it.
        proposals_predict: The same for predictions.
        roi_iou: IoU from which on a proposal is of the object's class.
        roi_batch: Proposals of an image that the losses are taken of.
        roi_positive: Largest share of objects among them.
        box_loss: Of the final boxes: `smooth_l1` of the paper, or `giou` (Rezatofighi and others,
            2019), which is smaller and so takes a weight, such as 10.
        weights: Factors of the losses `objectness`, `rpn_box`, `classification`, `box` and
            `mask`, 1 unless given.
        score_threshold: Boxes of lower scores are left out.
        nms: IoU above which the less likely of two boxes of a class is dropped.
        soft_nms: Lower the scores of such boxes instead (Bodla and others, 2017): `linear` above
            the IoU `nms`, or `gaussian` everywhere.
        max_detections: Most boxes of an image.

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
        maps: tuple[str, ...] | None = None,
        anchor_sizes: tuple[tuple[PositiveInt, ...], ...] | None = None,
        aspect_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0),
        roi_size: PositiveInt = 7,
        hidden: PositiveInt = 1024,
        mask_size: PositiveInt = 14,
        mask_layers: tuple[PositiveInt, ...] = (256, 256, 256, 256),
        rpn_iou: tuple[Share, Share] = (0.7, 0.3),
        rpn_batch: PositiveInt = 256,
        rpn_positive: Share = 0.5,
        rpn_nms: Share = 0.7,
        proposals_train: tuple[PositiveInt, PositiveInt] = (2000, 2000),
        proposals_predict: tuple[PositiveInt, PositiveInt] = (1000, 1000),
        roi_iou: Share = 0.5,
        roi_batch: PositiveInt = 512,
        roi_positive: Share = 0.25,
        box_loss: BoxLoss = "smooth_l1",
        weights: dict[str, NonNegativeFloat] | None = None,
        score_threshold: Share = 0.05,
        nms: Share = 0.5,
        soft_nms: SoftNMS | None = None,
        max_detections: PositiveInt = 100,
    ) -> None:
        super().__init__(
            feature_info,
            num_classes,
            maps=maps,
            anchor_sizes=anchor_sizes,
            aspect_ratios=aspect_ratios,
            roi_size=roi_size,
            hidden=hidden,
            rpn_iou=rpn_iou,
            rpn_batch=rpn_batch,
            rpn_positive=rpn_positive,
            rpn_nms=rpn_nms,
            proposals_train=proposals_train,
            proposals_predict=proposals_predict,
            roi_iou=roi_iou,
            roi_batch=roi_batch,
            roi_positive=roi_positive,
            box_loss=box_loss,
            weights=weights,
            score_threshold=score_threshold,
            nms=nms,
            soft_nms=soft_nms,
            max_detections=max_detections,
        )
        if not mask_layers:
            raise ValueError("mask_layers is empty; a mask takes at least one")
        channels = feature_info[self.maps[0]][0]
        width = mask_layers[-1]
        self.roi_heads.mask_roi_pool = region_pooler(feature_info, self.maps, mask_size)
        self.roi_heads.mask_head = MaskRCNNHeads(channels, mask_layers, 1)
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
