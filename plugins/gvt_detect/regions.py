"""The second stage: of each region its class and its box, for all detectors that have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import generalized_box_iou_loss

from gvt import Targets

from .detector import Detector, Selection
from .maps import chosen, region_pooler
from .rpn import full_precision
from .soft_nms import soft_nms as suppressed_softly
from .types import Share

BoxLoss = Literal["smooth_l1", "giou"]
SoftNMS = Literal["linear", "gaussian"]


class Pooled(Protocol):
    """What regions are taken from.

    Attributes:
        maps: Those that regions are pooled from, (N, C, h, w) float32.
        sizes: Unpadded (H, W) of each image.
    """

    @property
    def maps(self) -> dict[str, Tensor]: ...

    @property
    def sizes(self) -> list[tuple[int, int]]: ...


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


@dataclass(frozen=True)
class RegionSettings(Selection):
    """How regions are judged, which of them are learned from, and which boxes are kept.

    Args:
        maps: Names of the maps to look at, equally wide. Unless given: of a pyramid those of
            stride 4 and more, otherwise the coarsest one of stride 16 or less.
        weights: Factors of the losses, 1 unless given.
        roi_size: Side of the features that are pooled from a region.
        hidden: Width of the two dense layers on them.
        roi_iou: IoU from which on a proposal is of the object's class.
        roi_batch: Proposals of an image that the losses are taken of.
        roi_positive: Largest share of objects among them.
        box_loss: Of the final boxes: `smooth_l1` of the paper, or `giou` (Rezatofighi and others,
            2019), which is smaller and so takes a weight, such as 10.
        soft_nms: Lower the scores of boxes that `nms` would drop instead (Bodla and others, 2017):
            `linear` above that IoU, or `gaussian` everywhere.
    """

    maps: tuple[str, ...] | None = None
    weights: dict[str, NonNegativeFloat] | None = None
    roi_size: PositiveInt = 7
    hidden: PositiveInt = 1024
    roi_iou: Share = 0.5
    roi_batch: PositiveInt = 512
    roi_positive: Share = 0.25
    box_loss: BoxLoss = "smooth_l1"
    soft_nms: SoftNMS | None = None


class RegionDetector(Detector):
    """A detector that judges regions, by torchvision's `RoIHeads`.

    A subclass has these as `roi_heads`, made by `region_heads`.

    Args:
        feature_info: Of each feature map its (channels, stride).
        num_classes: Number of classes.
        settings: The maps, how regions are judged, and which boxes are kept.

    Raises:
        ValueError: If the maps are not there or not equally wide, or a weight is for no loss.
    """

    losses: tuple[str, ...] = ("classification", "box")
    roi_heads: RoIHeads

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        settings: RegionSettings,
    ) -> None:
        super().__init__(num_classes, settings.weights, settings)
        self.settings = settings
        self.maps = chosen(feature_info, settings.maps)
        self.channels = feature_info[self.maps[0]][0]
        self.strides = tuple(feature_info[name][1] for name in self.maps)

    def region_heads(self, feature_info: Mapping[str, tuple[int, int]]) -> RoIHeads:
        """Return the layers that judge regions, which are pooled by averaging.

        Args:
            feature_info: Of each feature map its (channels, stride).
        """
        settings = self.settings
        softly = settings.soft_nms is not None
        return RoIHeads(
            region_pooler(feature_info, self.maps, settings.roi_size),
            TwoMLPHead(self.channels * settings.roi_size**2, settings.hidden),
            FastRCNNPredictor(settings.hidden, self.num_classes + 1),
            fg_iou_thresh=settings.roi_iou,
            bg_iou_thresh=settings.roi_iou,
            batch_size_per_image=settings.roi_batch,
            positive_fraction=settings.roi_positive,
            bbox_reg_weights=None,
            score_thresh=settings.score_threshold,
            # Soft suppression wants them all: no IoU is above 1.
            nms_thresh=1.0 if softly else settings.nms,
            detections_per_img=None if softly else settings.max_detections,
        )

    def region_losses(
        self, outputs: Any, regions: Regions, truth: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the losses of the sampled regions; the truth's labels count from 1."""
        logits, deltas = self._judged(outputs, regions.boxes)
        if not len(logits):  # neither an object nor a proposal: means of nothing are no numbers
            return {"classification": logits.sum() * 0, "box": deltas.sum() * 0}
        classification, box = fastrcnn_loss(logits, deltas, regions.labels, regions.deltas)
        if self.settings.box_loss == "giou":
            box = self._giou(deltas, regions, truth)
        return {"classification": classification, "box": box}

    def _sampled(self, proposals: list[Tensor], truth: list[dict[str, Tensor]]) -> Regions:
        """Return the regions to learn from, among proposals and the boxes of the truth."""
        return Regions(*self.roi_heads.select_training_samples(proposals, truth))

    def _found(self, outputs: Pooled, proposals: list[Tensor]) -> list[dict[str, Any]]:
        """Return of each image `boxes`, `labels` and `scores`, the best one first."""
        logits, deltas = self._judged(outputs, proposals)
        found = self.roi_heads.postprocess_detections(logits, deltas, proposals, outputs.sizes)
        return [self._prediction(*of_one) for of_one in zip(*found, strict=True)]

    def _truth(self, targets: Targets) -> list[dict[str, Tensor]]:
        """Return the truth of each image as torchvision has it: 0 is the background."""
        pairs = zip(targets["boxes"], targets["labels"], strict=True)
        return [{"boxes": boxes.float(), "labels": labels + 1} for boxes, labels in pairs]

    def _judged(self, outputs: Pooled, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return of all boxes the logits (R, 1 + K) and the deltas of each class (R, 4 + 4 K)."""
        pooled = self.roi_heads.box_roi_pool(outputs.maps, boxes, outputs.sizes)
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
        if self.settings.soft_nms is not None:
            order, scores = suppressed_softly(
                boxes, scores, labels, self.settings.soft_nms, self.nms, self.max_detections
            )
            order = order[scores > self.score_threshold]
            boxes, labels, scores = boxes[order], labels[order], scores[: len(order)]
        return {"boxes": boxes, "labels": labels - 1, "scores": scores}
