"""How well several labels an image are told; importing this brings torchmetrics."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection, classification
from torchmetrics.utilities import dim_zero_cat

from .multilabel import multi_hot


class AveragePrecision(classification.MultilabelAveragePrecision):
    """The average precision of each class, NaN for one that is nowhere true."""

    def compute(self) -> Tensor:
        """Return (K,)."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No positive samples found")
            values = torch.atleast_1d(super().compute())
        occurs = dim_zero_cat(self.target).any(dim=0)
        return values.where(occurs, torch.nan)


class MultiLabelMetric:
    """Metrics of scores and true labels.

    Args:
        num_classes: Number of classes.
        threshold: Classes with a score above it are predicted.
        further: Further metrics by name.
    """

    def __init__(self, num_classes: int, threshold: float, further: Mapping[str, Any]) -> None:
        self._num_classes = num_classes
        # Without validation, which refuses a single label.
        how: dict[str, Any] = {"threshold": threshold, "validate_args": False}
        metrics = {
            "precision": classification.MultilabelPrecision(num_classes, **how),
            "recall": classification.MultilabelRecall(num_classes, **how),
            "f1": classification.MultilabelF1Score(num_classes, **how),
            "average_precision": AveragePrecision(num_classes, average="none", validate_args=False),
        }
        for name, metric in further.items():
            metric.reset()
            metrics[name] = metric
        self._metrics = MetricCollection(metrics)

    def to(self, device: torch.device) -> MultiLabelMetric:
        """Put its state where the predictions will be."""
        self._metrics.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the predictions of a batch."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = multi_hot([target["labels"] for target in targets], self._num_classes)
        self._metrics.update(scores, truth.to(scores.device))

    def compute(self) -> dict[str, Any]:
        """Return the metrics over everything added, over all processes."""
        found = self._metrics.compute()
        return {"mean_average_precision": found["average_precision"].nanmean(), **found}
