"""Metrics of torchmetrics over lists of predictions and targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StackedMetric:
    """A metric of torchmetrics that compares an entry of the predictions with one of the targets.

    Args:
        metric: A metric such as `torchmetrics.classification.MulticlassAccuracy(10)`, or a
            collection.
        prediction: Key of the entry of a prediction.
        target: Key of the entry of a target.
        name: Name of the value, if it is a single one.
    """

    def __init__(self, metric: Any, prediction: str, target: str, name: str = "metric") -> None:
        self._metric, self._keys, self._name = metric, (prediction, target), name

    def to(self, device: torch.device) -> StackedMetric:
        """Move its state to a device."""
        self._metric.to(device)
        return self

    def update(
        self, predictions: list[dict[str, Tensor]], targets: list[dict[str, Tensor]]
    ) -> None:
        """Add the predictions of a batch."""
        stacked = torch.stack([p[self._keys[0]] for p in predictions])
        truth = torch.stack([t[self._keys[1]] for t in targets])
        self._metric.update(stacked, truth)

    def compute(self) -> Any:
        """Return the value over all batches of all processes, by name."""
        value = self._metric.compute()
        return value if isinstance(value, dict) else {self._name: value}
