"""The second stage of two-stage detectors: class and box of each region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import generalized_box_iou_loss

from gvt import Targets

from .detections import Selection, filled_up
from .detector import Detector
from .maps import chosen, region_pooler
from .rpn import full_precision
from .soft_nms import soft_nms as suppressed_softly
from .types import Share

BoxLoss = Literal["smooth_l1", "giou"]
SoftNMS = Literal["linear", "gaussian"]


class Pooled(Protocol):
    """The outputs that regions are pooled from.

    Attributes:
        maps: The feature maps to pool, (N, C, h, w) float32.
        sizes: Unpadded (H, W) of each image.
    """

    @property
    def maps(self) -> dict[str, Tensor]: ...

    @property
    def sizes(self) -> list[tuple[int, int]]: ...


class Regions(NamedTuple):
    """The sampled regions for the losses, one entry for each image.

    Attributes:
        boxes: (R, 4).
        matched: (R,) int64, the index of the matched true box.
        labels: (R,) int64, from 1; 0 is the background.
        deltas: (R, 4), the encoded change to the matched box.
    """

    boxes: list[Tensor]
    matched: list[Tensor]
    labels: list[Tensor]
    deltas: Sequence[Tensor]


@dataclass(frozen=True)
class RegionSettings(Selection):
    """Parameters of the second stage, of its losses, and of the selection of boxes.

    Args:
        maps: Names of the feature maps to use, with equal channels. By default those of stride 4
            and more for a pyramid, otherwise the coarsest one of stride 16 or less.
        weights: Factors of the losses, 1 by default.
        roi_size: Side of the pooled features of a region.
        hidden: Width of the two dense layers on them.
        roi_iou: Smallest IoU at which a proposal has the object's class.
        roi_batch: Proposals of an image that are sampled for the losses.
        roi_positive: Largest share of objects among them.
        box_loss: Loss of the final boxes: `smooth_l1` of the paper, or `giou` (Rezatofighi et al.
            2019), which is smaller and so needs a weight, such as 10.
        soft_nms: Lower the scores of boxes instead of dropping them (Bodla et al. 2017):
            `linear` above that IoU, or `gaussian` everywhere.
        ignore_padding: Whether an image of a padded batch is treated as if it were alone. Models
            of checkpoint format 1 were trained without.
    """

    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"ignore_padding": False}

    maps: tuple[str, ...] | None = None
    weights: dict[str, NonNegativeFloat] | None = None
    roi_size: PositiveInt = 7
    hidden: PositiveInt = 1024
    roi_iou: Share = 0.5
    roi_batch: PositiveInt = 512
    roi_positive: Share = 0.25
    box_loss: BoxLoss = "smooth_l1"
    soft_nms: SoftNMS | None = None
    ignore_padding: bool = True


class RegionDetector(Detector):
    """Base class of detectors with a second stage, torchvision's `RoIHeads`.

    A subclass sets the attribute `roi_heads`, with `region_heads`.

    Args:
        feature_info: The (channels, stride) of each feature map.
        num_classes: Number of classes.
        settings: Parameters of the second stage.

    Raises:
        ValueError: If the backbone lacks a map, the maps differ in channels, or `weights` names
            an unknown loss.
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
        """Build the second stage, which pools regions by averaging.

        Args:
            feature_info: The (channels, stride) of each feature map.
        """
        settings = self.settings
        soft = settings.soft_nms is not None
        return RoIHeads(
            region_pooler(feature_info, self.maps, settings.roi_size, settings.ignore_padding),
            TwoMLPHead(self.channels * settings.roi_size**2, settings.hidden),
            FastRCNNPredictor(settings.hidden, self.num_classes + 1),
            fg_iou_thresh=settings.roi_iou,
            bg_iou_thresh=settings.roi_iou,
            batch_size_per_image=settings.roi_batch,
            positive_fraction=settings.roi_positive,
            bbox_reg_weights=None,
            score_thresh=settings.score_threshold,
            # Soft suppression needs all boxes, and no IoU is above 1.
            nms_thresh=1.0 if soft else settings.nms,
            detections_per_img=None if soft else settings.max_detections,
        )

    def tensors(self, outputs: Any) -> dict[str, Tensor]:
        """Return `boxes` (N, D, 4), `labels` (N, D) and `scores` (N, D) of the D best boxes.

        It cannot be exported, since proposals and regions are selected image by image.
        """
        return filled_up(self.predict(outputs), self.settings.max_detections)

    def region_losses(
        self, outputs: Any, regions: Regions, truth: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Return the losses of the sampled regions; labels of the truth start at 1."""
        logits, deltas = self._scored(outputs, regions.boxes)
        if not len(logits):  # neither objects nor proposals: a mean over nothing is NaN
            return {"classification": logits.sum() * 0, "box": deltas.sum() * 0}
        classification, box = fastrcnn_loss(logits, deltas, regions.labels, regions.deltas)
        if self.settings.box_loss == "giou":
            box = self._giou(deltas, regions, truth)
        return {"classification": classification, "box": box}

    def _sampled(self, proposals: list[Tensor], truth: list[dict[str, Tensor]]) -> Regions:
        """Return regions sampled from the proposals and the true boxes, for the losses."""
        return Regions(*self.roi_heads.select_training_samples(proposals, truth))

    def _detected(self, outputs: Pooled, proposals: list[Tensor]) -> list[dict[str, Any]]:
        """Return the `boxes`, `labels` and `scores` of each image, by descending score."""
        logits, deltas = self._scored(outputs, proposals)
        detected = self.roi_heads.postprocess_detections(logits, deltas, proposals, outputs.sizes)
        return [self._prediction(*image) for image in zip(*detected, strict=True)]

    def _truth(self, targets: Targets) -> list[dict[str, Tensor]]:
        """Return the truth of each image in torchvision's format: label 0 is the background."""
        pairs = zip(targets["boxes"], targets["labels"], strict=True)
        return [{"boxes": boxes.float(), "labels": labels + 1} for boxes, labels in pairs]

    def _scored(self, outputs: Pooled, boxes: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits (R, 1 + K) and the deltas of each class (R, 4 + 4 K) of all boxes."""
        pooled = self.roi_heads.box_roi_pool(outputs.maps, boxes, outputs.sizes)
        hidden = self.roi_heads.box_head(pooled)
        with full_precision(hidden.device):
            logits, deltas = self.roi_heads.box_predictor(hidden.float())
        return logits, deltas

    def _giou(
        self, deltas: Tensor, regions: Regions, truth: Sequence[Mapping[str, Tensor]]
    ) -> Tensor:
        """Return the GIoU loss of the objects' boxes, averaged over all regions as torchvision."""
        labels = torch.cat(regions.labels)
        objects = (labels > 0).nonzero().flatten()
        deltas = deltas.view(len(labels), -1, 4)[objects, labels[objects]]
        boxes = self.roi_heads.box_coder.decode_single(deltas, torch.cat(regions.boxes)[objects])
        true_boxes = torch.cat(
            [
                image["boxes"][matched[label > 0]]
                for image, matched, label in zip(
                    truth, regions.matched, regions.labels, strict=True
                )
            ]
        )
        return generalized_box_iou_loss(boxes, true_boxes, reduction="sum") / len(labels)

    def _prediction(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> dict[str, Any]:
        settings = self.settings
        if settings.soft_nms is not None:
            order, scores = suppressed_softly(
                boxes, scores, labels, settings.soft_nms, settings.nms, settings.max_detections
            )
            order = order[scores > settings.score_threshold]
            boxes, labels, scores = boxes[order], labels[order], scores[: len(order)]
        return {"boxes": boxes, "labels": labels - 1, "scores": scores}
