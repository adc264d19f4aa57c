"""Faster R-CNN: proposals, and of each its class and its box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import generalized_box_iou_loss

from gvt import Batch, Targets

from .detector import Detector
from .maps import chosen, region_pooler
from .rpn import ProposalNetwork, Proposals, full_precision
from .soft_nms import soft_nms as suppressed_softly

Share = Annotated[float, Field(ge=0, le=1)]
BoxLoss = Literal["smooth_l1", "giou"]
SoftNMS = Literal["linear", "gaussian"]

SCALES = (2, 4, 8, 16, 32)
"""Sides of a single map's anchors, in its strides: what the maps of a pyramid have together."""

SCALE = 8
"""Side of the anchors of each map of a pyramid, in its strides."""


class Outputs(NamedTuple):
    """What is computed once for both losses and predictions.

    Attributes:
        maps: Those that regions are pooled from, (N, C, h, w) float32.
        proposals: What is thought of all anchors.
        canvas: Padded (H, W) of all images.
    """

    maps: dict[str, Tensor]
    proposals: Proposals
    canvas: tuple[int, int]


class Regions(NamedTuple):
    """The regions that the losses are taken of, one entry an image.

    Attributes:
        boxes: (R, 4).
        matched: (R,) int64, which box of the truth a region is compared with.
        labels: (R,) int64, from 1; 0 is the background.
        deltas: (R, 4), how a region would have to change.
    """

    boxes: list[Tensor]
    matched: list[Tensor]
    labels: list[Tensor]
    deltas: Sequence[Tensor]


class FasterRCNN(Detector):
    """Proposals from anchors, and of each its class and its box, by torchvision's own parts.

    Ren and others, 2015, https://arxiv.org/abs/1506.01497, on one map or on a pyramid (Lin and
    others, 2017, https://arxiv.org/abs/1612.03144). Weights have torchvision's names and shapes.
    Losses and predictions are those of torchvision's FasterRCNN, and nothing is learned from or
    found in the padding of images.

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
        weights: Factors of the losses `objectness`, `rpn_box`, `classification` and `box`, 1
            unless given.
        score_threshold: Boxes of lower scores are left out.
        nms: IoU above which the less likely of two boxes of a class is dropped.
        soft_nms: Lower the scores of such boxes instead (Bodla and others, 2017): `linear` above
            the IoU `nms`, or `gaussian` everywhere.
        max_detections: Most boxes of an image.

    Raises:
        ValueError: If the maps are not there or not equally wide, the anchors do not fit them,
            or a weight is for no loss.
    """

    losses: tuple[str, ...] = ("objectness", "rpn_box", "classification", "box")

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        maps: tuple[str, ...] | None = None,
        anchor_sizes: tuple[tuple[PositiveInt, ...], ...] | None = None,
        aspect_ratios: tuple[PositiveFloat, ...] = (0.5, 1.0, 2.0),
        roi_size: PositiveInt = 7,
        hidden: PositiveInt = 1024,
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
        super().__init__()
        self.num_classes, self.box_loss, self.weights = num_classes, box_loss, weights or {}
        self.nms, self.soft_nms, self.max_detections = nms, soft_nms, max_detections
        if unknown := sorted(set(self.weights) - set(self.losses)):
            raise ValueError(f"weights for {unknown}, the losses are {list(self.losses)}")
        self.maps = chosen(feature_info, maps)
        channels = feature_info[self.maps[0]][0]
        strides = [feature_info[name][1] for name in self.maps]
        self.rpn = ProposalNetwork(
            channels,
            strides,
            _usual_sizes(strides) if anchor_sizes is None else anchor_sizes,
            aspect_ratios,
            iou=rpn_iou,
            batch=rpn_batch,
            positive=rpn_positive,
            nms=rpn_nms,
            training=proposals_train,
            testing=proposals_predict,
        )
        self.roi_heads = RoIHeads(
            region_pooler(feature_info, self.maps, roi_size),
            TwoMLPHead(channels * roi_size**2, hidden),
            FastRCNNPredictor(hidden, num_classes + 1),
            fg_iou_thresh=roi_iou,
            bg_iou_thresh=roi_iou,
            batch_size_per_image=roi_batch,
            positive_fraction=roi_positive,
            bbox_reg_weights=None,
            score_thresh=score_threshold,
            # Soft suppression wants them all: no IoU is above 1.
            nms_thresh=nms if soft_nms is None else 1.0,
            detections_per_img=max_detections if soft_nms is None else None,
        )

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, Any]:
        """Return a narrow one to try."""
        return {"hidden": 32}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Outputs:
        """Return what is thought of all anchors, and the maps that regions are pooled from.

        Raises:
            ConfigError: If the maps show more than the picture.
        """
        proposals = self.rpn([features[name] for name in self.maps], batch.frame)
        maps = {name: features[name].float() for name in self.roi_heads.box_roi_pool.featmap_names}
        return Outputs(maps, proposals, batch.frame.canvas)

    def loss(self, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Return the losses `objectness`, `rpn_box`, `classification` and `box`, weighted."""
        truth = self._truth(targets)
        objectness, rpn_box = self.rpn.losses(outputs.proposals, [t["boxes"] for t in truth])
        proposals = self.rpn.kept(outputs.proposals, training=True)
        regions = Regions(*self.roi_heads.select_training_samples(proposals, truth))
        found = {"objectness": objectness, "rpn_box": rpn_box}
        found |= self.region_losses(outputs, regions, truth)
        return {name: self.weights.get(name, 1.0) * loss for name, loss in found.items()}

    def region_losses(
        self, outputs: Outputs, regions: Regions, truth: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the losses of the sampled regions; the truth's labels count from 1."""
        logits, deltas = self._judged(outputs, regions.boxes)
        if not len(logits):  # neither an object nor a proposal: means of nothing are no numbers
            return {"classification": logits.sum() * 0, "box": deltas.sum() * 0}
        classification, box = fastrcnn_loss(logits, deltas, regions.labels, regions.deltas)
        if self.box_loss == "giou":
            box = self._giou(deltas, regions, truth)
        return {"classification": classification, "box": box}

    def predict(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        proposals = self.rpn.kept(outputs.proposals, training=False)
        logits, deltas = self._judged(outputs, proposals)
        found = self.roi_heads.postprocess_detections(
            logits, deltas, proposals, outputs.proposals.sizes
        )
        return [self._prediction(*of_one) for of_one in zip(*found, strict=True)]

    def _truth(self, targets: Targets) -> list[dict[str, Tensor]]:
        """Return the truth of each image as torchvision has it: 0 is the background."""
        pairs = zip(targets["boxes"], targets["labels"], strict=True)
        return [{"boxes": boxes.float(), "labels": labels + 1} for boxes, labels in pairs]

    def _judged(self, outputs: Outputs, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return of all boxes the logits (R, 1 + K) and the deltas of each class (R, 4 + 4 K)."""
        pooled = self.roi_heads.box_roi_pool(outputs.maps, boxes, outputs.proposals.sizes)
        hidden = self.roi_heads.box_head(pooled)
        with full_precision(hidden.device):
            logits, deltas = self.roi_heads.box_predictor(hidden.float())
        return logits, deltas

    def _giou(
        self, deltas: Tensor, regions: Regions, truth: Sequence[Mapping[str, Tensor]]
    ) -> Tensor:
        """Return the GIoU loss of the objects' boxes, over all regions as torchvision has it."""
        labels = torch.cat(regions.labels)
        objects = (labels > 0).nonzero().flatten()
        own = deltas.view(len(labels), -1, 4)[objects, labels[objects]]
        boxes = self.roi_heads.box_coder.decode_single(own, torch.cat(regions.boxes)[objects])
        wanted = torch.cat(
            [
                of_image["boxes"][matched[label > 0]]
                for of_image, matched, label in zip(
                    truth, regions.matched, regions.labels, strict=True
                )
            ]
        )
        return generalized_box_iou_loss(boxes, wanted, reduction="sum") / len(labels)

    def _prediction(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> dict[str, Any]:
        if self.soft_nms is not None:
            order, scores = suppressed_softly(
                boxes, scores, labels, self.soft_nms, self.nms, self.max_detections
            )
            order = order[scores > self.roi_heads.score_thresh]
            boxes, labels, scores = boxes[order], labels[order], scores[: len(order)]
        return {"boxes": boxes, "labels": labels - 1, "scores": scores}


def _usual_sizes(strides: Sequence[int]) -> list[list[int]]:
    if len(strides) == 1:
        return [[scale * strides[0] for scale in SCALES]]
    return [[SCALE * stride] for stride in strides]
