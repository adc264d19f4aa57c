"""torchmetrics over lists of predictions and targets. Importing torchmetrics takes seconds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StackedMetric:
    """A torchmetrics metric over tensors, fed with one entry of each prediction and target.

    Args:
        metric: Such as `torchmetrics.classification.MulticlassAccuracy(10)`, or a collection.
        prediction: The entry of a prediction that it compares.
        target: The entry of a target that it compares with.
        name: What its value is called, where it is a single one.
    """

    def __init__(self, metric: Any, prediction: str, target: str, name: str = "metric") -> None:
        self._metric, self._keys, self._name = metric, (prediction, target), name

    def to(self, device: torch.device) -> StackedMetric:
        """Put its state where the predictions will be."""
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
        """Return the metric's value over everything added, over all processes."""
        value = self._metric.compute()
        return value if isinstance(value, dict) else {self._name: value}
