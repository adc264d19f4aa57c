"""Accuracy and IoU of the single object of an image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

from .detections import check_finite

LOCALISED = 0.5
"""Smallest IoU with the true box at which an object of the right class is localised."""

_FIGURES = ("accuracy", "iou", "localised")


class LocalisationMetric:
    """Accuracy, IoU and localisation rate of the largest object of each image with objects.

    `accuracy` is the share with the right class, `iou` the mean IoU with the true box, and
    `localised` the share with the right class and an IoU of at least 0.5: 1 minus ILSVRC's
    localisation error for a single guess (Russakovsky et al. 2015,
    https://arxiv.org/abs/1409.0575). They are NaN if no image has an object.
    """

    def __init__(self) -> None:
        from torchmetrics import MeanMetric

        self._means = {name: MeanMetric() for name in _FIGURES}

    def to(self, device: torch.device) -> LocalisationMetric:
        """Move the state to a device."""
        for mean in self._means.values():
            mean.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add a batch: `boxes` (M, 4) xyxy and `labels` (M,), everything in the same pixels.

        A prediction also has `scores` (M,), and the box with the highest score counts. True
        objects that are `ignored` (M,) do not count.

        Raises:
            NonFiniteError: If a box or a score is not a finite number.
        """
        figures = [
            _judged(prediction, target, index)
            for prediction, target in zip(predictions, targets, strict=True)
            if (index := the_object(target)) is not None
        ]
        columns = torch.tensor(figures).view(-1, len(_FIGURES)).unbind(dim=1)
        for mean, values in zip(self._means.values(), columns, strict=True):
            mean.update(values.to(mean.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the figures over everything added, over all processes."""
        self.update([], [])  # or torchmetrics warns about a missing update
        return {name: mean.compute() for name, mean in self._means.items()}


def the_object(target: dict[str, Any]) -> int | None:
    """Return the index of the largest object, the first among equals; None without objects.

    Objects that are `ignored` (M,) do not count.
    """
    areas = box_area(target["boxes"].float())
    if "ignored" in target:
        areas = areas.masked_fill(target["ignored"].bool(), -1)
    if not len(areas) or bool((areas < 0).all()):
        return None
    return int(areas.argmax())


def mislocalised(predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
    """Return the error of each prediction, (N,).

    It is 0 if the object is localised or there is none, 1 for a wrong class, and otherwise
    1 - IoU.
    """
    errors = []
    for prediction, target in zip(predictions, targets, strict=True):
        index = the_object(target)
        right, iou, localised = (1, 1, 1) if index is None else _judged(prediction, target, index)
        errors.append(0.0 if localised else 1 - right * iou)
    return torch.tensor(errors)


def _judged(
    prediction: dict[str, Any], target: dict[str, Any], index: int
) -> tuple[float, float, float]:
    """Return whether the class is right, the IoU, and whether the object is localised."""
    boxes, scores = prediction["boxes"].float(), prediction["scores"]
    if not len(boxes):
        return 0.0, 0.0, 0.0
    check_finite(boxes, scores)
    best = int(scores.argmax())
    truth = target["boxes"][index].to(boxes)
    iou = float(box_iou(boxes[best][None], truth[None]))
    right = int(prediction["labels"][best]) == int(target["labels"][index])
    return float(right), iou, float(right and iou >= LOCALISED)
