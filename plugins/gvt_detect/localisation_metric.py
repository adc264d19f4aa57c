"""How well the one object of an image is named and placed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou

import gvt

LOCALISED = 0.5
"""The least IoU with the true box at which an object of the right class is localised."""

_FIGURES = ("accuracy", "iou", "localised")


class LocalisationMetric:
    """Means over the images that have an object; the largest one is meant.

    `accuracy` is the share with the right class, `iou` the mean IoU with the true box, and
    `localised` the share with the right class and an IoU of 0.5 or more: 1 minus ILSVRC's
    localisation error for a single guess (Russakovsky and others, 2015,
    https://arxiv.org/abs/1409.0575). Without any such image they are NaN.
    """

    def __init__(self) -> None:
        from torchmetrics import MeanMetric

        self._means = {name: MeanMetric() for name in _FIGURES}

    def to(self, device: torch.device) -> LocalisationMetric:
        """Put its state where the predictions will be."""
        for mean in self._means.values():
            mean.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add a batch: `boxes` (M, 4) xyxy and `labels` (M,), everything in the same pixels.

        Of a prediction with `scores` (M,) the surest box counts. True objects that are `ignored`
        (M,) are not looked at.

        Raises:
            NonFiniteError: If a box or a score is not a finite number.
        """
        judged = [
            _judged(prediction, target, meant)
            for prediction, target in zip(predictions, targets, strict=True)
            if (meant := the_object(target)) is not None
        ]
        columns = torch.tensor(judged).view(-1, len(_FIGURES)).unbind(dim=1)
        for mean, values in zip(self._means.values(), columns, strict=True):
            mean.update(values.to(mean.device))

    def compute(self) -> dict[str, Tensor]:
        """Return the figures over everything added, over all processes."""
        self.update([], [])  # or torchmetrics warns of never having been updated
        return {name: mean.compute() for name, mean in self._means.items()}


def the_object(target: dict[str, Any]) -> int | None:
    """Return which object of a truth is meant: the largest, of equals the first; None without any.

    Those that are `ignored` (M,) are not looked at.
    """
    areas = box_area(target["boxes"].float())
    if "ignored" in target:
        areas = areas.masked_fill(target["ignored"].bool(), -1)
    if not len(areas) or bool((areas < 0).all()):
        return None
    return int(areas.argmax())


def mislocalised(predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
    """Return how wrong each prediction is, (N,).

    It is 0 where the object is localised or there is none, 1 for a wrong class, and otherwise
    1 - IoU.
    """
    errors = []
    for prediction, target in zip(predictions, targets, strict=True):
        meant = the_object(target)
        right, iou, localised = (1, 1, 1) if meant is None else _judged(prediction, target, meant)
        errors.append(0.0 if localised else 1 - right * iou)
    return torch.tensor(errors)


def _judged(
    prediction: dict[str, Any], target: dict[str, Any], meant: int
) -> tuple[float, float, float]:
    """Return of one image whether the class is right, the IoU, and whether it is localised."""
    boxes, scores = prediction["boxes"].float(), prediction["scores"]
    if not len(boxes):
        return 0.0, 0.0, 0.0
    if not bool(boxes.isfinite().all() & scores.isfinite().all()):
        raise gvt.NonFiniteError(
            "a predicted box, or its score, is not a finite number; the network may have "
            "diverged: lower the learning rate"
        )
    surest = int(scores.argmax())
    truth = target["boxes"][meant].to(boxes)
    iou = float(box_iou(boxes[surest][None], truth[None]))
    right = int(prediction["labels"][surest]) == int(target["labels"][meant])
    return float(right), iou, float(right and iou >= LOCALISED)
