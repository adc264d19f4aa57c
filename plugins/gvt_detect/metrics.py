"""COCO's average precision and recall of boxes and masks, and the error of each image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchvision.ops import box_iou

import gvt
from gvt.loop import SURE

from .detections import check_finite

# Exactly COCO's: torchmetrics rounds its defaults to float32, which changes results.
_IOUS = np.linspace(0.5, 0.95, 10).tolist()
_RECALLS = np.linspace(0, 1, 101).tolist()
_LIMITS = [1, 10, 100]
_FIGURES = {
    "ap": "map",
    "ap50": "map_50",
    "ap75": "map_75",
    "ap_small": "map_small",
    "ap_medium": "map_medium",
    "ap_large": "map_large",
    "ar_1": "mar_1",
    "ar_10": "mar_10",
    "ar_100": "mar_100",
    "ar_small": "mar_small",
    "ar_medium": "mar_medium",
    "ar_large": "mar_large",
}


class DetectionMetric:
    """COCO's average precision and recall (Lin et al. 2014), by pycocotools.

    `ap` is the mean over the classes and the IoUs from 0.5 to 0.95, `ap50` and `ap75` are at one
    IoU. `ar_1`, `ar_10` and `ar_100` are the recall with that many detections for each image and
    class. Objects are small up to 32 x 32 pixels of the original image and large from 96 x 96 on,
    by the area of their mask if there are masks, as in COCO. Results without true objects are
    NaN. The results for masks have the prefix `mask_`. True objects that are `ignored` (M,), like
    COCO's crowds, count neither as missed nor as false positives.

    Args:
        num_classes: Number of classes.
        masks: Whether to compare masks, too. Predictions without masks, such as another tool's
            boxes, are compared by their boxes alone.
    """

    def __init__(self, num_classes: int, masks: bool = False) -> None:
        self._num_classes, self._masks = num_classes, masks
        self._metric: Any = None

    def to(self, device: torch.device) -> DetectionMetric:
        """Do nothing: objects are compared on the CPU, where encoded masks are kept."""
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add a batch: `boxes` (M, 4) xyxy, `labels` (M,), optionally `masks` (M, H, W).

        A prediction also has `scores` (M,), and the truth optionally `ignored` (M,) bool. Boxes
        and masks are in pixels of the original images.

        Raises:
            NonFiniteError: If a box or a score is not a finite number.
        """
        if self._metric is None and predictions:
            self._metric = _average_precision(self._masks and "masks" in predictions[0])
        for prediction, target in zip(predictions, targets, strict=True):
            # Image by image, since the masks of a whole batch as bytes need much memory.
            kinds = self._metric.iou_type
            self._metric.update([_plain(prediction, kinds)], [_plain(target, kinds)])

    def compute(self) -> dict[str, Any]:
        """Return the results over everything added, over all processes.

        In addition to those of the class's docstring: `ap_class` and `ap50_class`, (K,) by class,
        and `precision_recall`, the curves at an IoU of 0.5.
        """
        metric = self._gathered()
        if metric is None:
            return self._named({}, "")
        values = metric.compute()
        if "segm" not in metric.iou_type:
            return self._named(values, "")
        masks = {f"mask_{n}": value for n, value in self._named(values, "segm_").items()}
        return self._named(values, "bbox_") | masks

    def _gathered(self) -> Any:
        """Return a metric with the state of all processes; None if all are empty.

        torchmetrics gathers image by image, and hangs if one process has more images.
        """
        state = None if self._metric is None else (self._metric.iou_type, self._metric.metric_state)
        if not dist.is_available() or not dist.is_initialized():
            return self._metric
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, state)
        states = [state for state in gathered if state is not None]
        if not states:
            return None
        metric = _average_precision("segm" in states[0][0])
        for _, lists in states:
            for name, images in lists.items():
                getattr(metric, name).extend(images)
        metric.update([], [])  # or torchmetrics warns about a missing update
        return metric

    def _named(self, values: dict[str, Any], prefix: str) -> dict[str, Any]:
        """Return the results of torchmetrics by our names, for names with a prefix."""
        absent = torch.tensor(-1.0)  # COCO's value without true objects
        results: dict[str, Any] = {
            ours: _or_nan(values.get(prefix + theirs, absent)) for ours, theirs in _FIGURES.items()
        }
        # (IoU thresholds, recalls, classes that occur), for all sizes and the most detections.
        shape = (len(_IOUS), len(_RECALLS), self._num_classes)
        precision = torch.full(shape, torch.nan, dtype=torch.float64)
        if f"{prefix}precision" in values:
            classes = values["classes"].reshape(-1).long()
            precision[:, :, classes] = _or_nan(values[f"{prefix}precision"][..., 0, -1])
        recalls = torch.tensor(_RECALLS)
        curves = gvt.Curves(recalls, precision[0].T.float(), ("recall", "precision"))
        results["ap_class"] = precision.mean(dim=(0, 1)).float()
        results["ap50_class"] = precision[0].mean(dim=0).float()
        return results | {"precision_recall": curves}


def mistakes(predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
    """Return the error of each image's detections, (N,): 1 - F1, 0 if all are right.

    In order of descending score, a detection is matched with the true box of its class of highest
    IoU, if that is 0.5 or more. Only detections with a score of 0.5 or more count. Those with
    lower scores, which average precision ranks, occur in nearly every image. The error of an
    image without objects and detections is 0.
    """
    return torch.tensor([_error(p, t) for p, t in zip(predictions, targets, strict=True)])


def _error(prediction: dict[str, Any], target: dict[str, Any]) -> float:
    scores = prediction["scores"].cpu()
    order = scores.argsort(descending=True, stable=True)
    sure = order[scores[order] >= SURE]
    boxes, labels = prediction["boxes"].cpu()[sure], prediction["labels"].cpu()[sure]
    true_boxes, true_labels = target["boxes"].cpu(), target["labels"].cpu()
    if not len(boxes) and not len(true_boxes):
        return 0.0
    if not len(boxes) or not len(true_boxes):
        return 1.0
    overlaps = box_iou(boxes.float(), true_boxes.float())
    overlaps[labels[:, None] != true_labels] = 0
    matched = 0
    for row in overlaps:  # a view, so a matched true box is no longer available to the next rows
        best = int(row.argmax())
        if row[best] >= 0.5:
            matched += 1
            overlaps[:, best] = 0
    return 1 - 2 * matched / (len(boxes) + len(true_boxes))


def _average_precision(masks: bool) -> Any:
    from torchmetrics.detection import MeanAveragePrecision

    # The summary has the results of each class; `class_metrics` would compute them again.
    metric = MeanAveragePrecision(
        iou_type=("bbox", "segm") if masks else "bbox",
        iou_thresholds=_IOUS,
        rec_thresholds=_RECALLS,
        max_detection_thresholds=_LIMITS,
        extended_summary=True,
        backend="pycocotools",
        sync_on_compute=False,
    )
    metric.warn_on_many_detections = False
    return metric


def _plain(objects: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the tensors to compare, on the CPU, in the types that pycocotools takes."""
    plain = {"boxes": objects["boxes"].float().cpu(), "labels": objects["labels"].long().cpu()}
    if "segm" in kinds:
        plain["masks"] = objects["masks"].cpu().to(torch.uint8)
    if "ignored" in objects:
        plain["iscrowd"] = objects["ignored"].long().cpu()
    if "scores" in objects:
        plain["scores"] = objects["scores"].float().cpu()
        # pycocotools would count a detection without an IoU as a match.
        check_finite(plain["boxes"], plain["scores"])
    return plain


def _or_nan(values: Tensor) -> Tensor:
    return values.masked_fill(values < 0, torch.nan)
