"""How good boxes and masks are: COCO's average precision, and which images are the worst."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torchvision.ops import box_iou

import gvt
from gvt.loop import SURE

# COCO's own, to the last digit: torchmetrics rounds its defaults to float32, which moves figures.
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

    `ap` is the mean over the classes and over the IoU from 0.5 to 0.95, `ap50` and `ap75` are at
    one IoU, `ar_1`, `ar_10` and `ar_100` the recall with as many detections an image and class.
    Objects are small up to 32 x 32 pixels of the original image and large from 96 x 96 on; with
    masks it is the mask of a true object that is measured, as in COCO. What has no true object
    is NaN. Of the same figures for masks each name begins with `mask_`. True objects that are
    `ignored` (M,), as COCO's crowds, are neither missed nor wrongly found.

    Args:
        num_classes: Number of classes.
        masks: Compare the masks, too. Predictions without any, such as another tool's boxes, are
            judged by their boxes alone.
    """

    def __init__(self, num_classes: int, masks: bool = False) -> None:
        self._num_classes, self._masks = num_classes, masks
        self._metric: Any = None

    def to(self, device: torch.device) -> DetectionMetric:
        """Do nothing: objects are compared on the CPU, and masks kept there, encoded."""
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add a batch: `boxes` (M, 4) xyxy, `labels` (M,), perhaps `masks` (M, H, W), one size.

        Of a prediction also `scores` (M,), of the truth perhaps `ignored` (M,) bool. Everything is
        in pixels of the original images.

        Raises:
            NonFiniteError: If a box or a score is not a finite number.
        """
        if self._metric is None and predictions:
            self._metric = _average_precision(self._masks and "masks" in predictions[0])
        for prediction, target in zip(predictions, targets, strict=True):
            # One by one, since masks of a whole batch as bytes are a lot.
            kinds = self._metric.iou_type
            self._metric.update([_plain(prediction, kinds)], [_plain(target, kinds)])

    def compute(self) -> dict[str, Any]:
        """Return the figures over everything added, over all processes.

        Besides those of the class's docstring `ap_class` and `ap50_class`, (K,) for each class,
        and `precision_recall`, the curves at an IoU of 0.5.
        """
        whole = self._of_all_processes()
        if whole is None:
            return self._named({}, "")
        values = whole.compute()
        if "segm" not in whole.iou_type:
            return self._named(values, "")
        of_masks = self._named(values, "segm_")
        return self._named(values, "bbox_") | {f"mask_{n}": v for n, v in of_masks.items()}

    def _of_all_processes(self) -> Any:
        """Return a metric with what every process has seen; None if that is nothing.

        torchmetrics gathers image by image, and so waits for ever where one process has more.
        """
        own = None if self._metric is None else (self._metric.iou_type, self._metric.metric_state)
        if not dist.is_available() or not dist.is_initialized():
            return self._metric
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, own)
        seen = [state for state in gathered if state is not None]
        if not seen:
            return None
        whole = _average_precision("segm" in seen[0][0])
        for _, state in seen:
            for name, images in state.items():
                getattr(whole, name).extend(images)
        whole.update([], [])  # or it warns of never having been updated
        return whole

    def _named(self, values: dict[str, Any], prefix: str) -> dict[str, Any]:
        """Return what torchmetrics computed of boxes, or of masks, by our names."""
        absent = torch.tensor(-1.0)  # as COCO says that there is nothing
        found: dict[str, Any] = {
            ours: _or_nan(values.get(prefix + theirs, absent)) for ours, theirs in _FIGURES.items()
        }
        # (IoU thresholds, recalls, classes that occur), of all sizes, with the most detections.
        shape = (len(_IOUS), len(_RECALLS), self._num_classes)
        precision = torch.full(shape, torch.nan, dtype=torch.float64)
        if f"{prefix}precision" in values:
            classes = values["classes"].reshape(-1).long()
            precision[:, :, classes] = _or_nan(values[f"{prefix}precision"][..., 0, -1])
        recalls = torch.tensor(_RECALLS)
        curves = gvt.Curves(recalls, precision[0].T.float(), ("recall", "precision"))
        found["ap_class"] = precision.mean(dim=(0, 1)).float()
        found["ap50_class"] = precision[0].mean(dim=0).float()
        return found | {"precision_recall": curves}


def mistakes(predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
    """Return how wrong each image's detections are, (N,): 1 - F1, 0 where all is right.

    The surest detection first takes the true box of its class that it overlaps most, if the IoU
    is 0.5 or more. Only those with a score of 0.5 or more count: the many unsure ones, which
    average precision ranks, nobody would take for objects, and nearly every image has some. An
    image without an object and without a detection is right.
    """
    return torch.tensor([_wrong(p, t) for p, t in zip(predictions, targets, strict=True)])


def _wrong(prediction: dict[str, Any], target: dict[str, Any]) -> float:
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
    for row in overlaps:  # a view, so that what is taken is gone for those that follow
        best = int(row.argmax())
        if row[best] >= 0.5:
            matched += 1
            overlaps[:, best] = 0
    return 1 - 2 * matched / (len(boxes) + len(true_boxes))


def _average_precision(masks: bool) -> Any:
    from torchmetrics.detection import MeanAveragePrecision

    # Figures of single classes are in the summary; `class_metrics` would compute them anew.
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


def _plain(known: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Tensor]:
    """Return what is compared, on the CPU, in the types that pycocotools takes."""
    plain = {"boxes": known["boxes"].float().cpu(), "labels": known["labels"].long().cpu()}
    if "segm" in kinds:
        plain["masks"] = known["masks"].cpu().to(torch.uint8)
    if "ignored" in known:
        plain["iscrowd"] = known["ignored"].long().cpu()
    if "scores" in known:
        plain["scores"] = known["scores"].float().cpu()
        # pycocotools would take what has no IoU for found.
        if not all(bool(plain[key].isfinite().all()) for key in ("boxes", "scores")):
            raise gvt.NonFiniteError(
                "a predicted box, or its score, is not a finite number; the network may have "
                "diverged: lower the learning rate"
            )
    return plain


def _or_nan(values: Tensor) -> Tensor:
    return values.masked_fill(values < 0, torch.nan)
