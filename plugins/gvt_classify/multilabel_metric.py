"""Metrics of multi-label classification, based on torchmetrics."""

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
    """The average precision of each class, NaN for a class without positive samples."""

    def compute(self) -> Tensor:
        """Return the average precisions, (K,)."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="No positive samples found")
            values = torch.atleast_1d(super().compute())
        occurs = dim_zero_cat(self.target).any(dim=0)
        return values.where(occurs, torch.nan)


class MultiLabelMetric:
    """Metrics of scores and true labels.

    Args:
        num_classes: Number of classes.
        threshold: Score above which a class is predicted.
        further: Further metrics by name.
    """

    def __init__(self, num_classes: int, threshold: float, further: Mapping[str, Any]) -> None:
        self._num_classes = num_classes
        # Without validation, which does not allow a single class.
        options: dict[str, Any] = {"threshold": threshold, "validate_args": False}
        metrics = {
            "precision": classification.MultilabelPrecision(num_classes, **options),
            "recall": classification.MultilabelRecall(num_classes, **options),
            "f1": classification.MultilabelF1Score(num_classes, **options),
            "average_precision": AveragePrecision(num_classes, average="none", validate_args=False),
        }
        for name, metric in further.items():
            metric.reset()
            metrics[name] = metric
        self._metrics = MetricCollection(metrics)

    def to(self, device: torch.device) -> MultiLabelMetric:
        """Move the state to a device."""
        self._metrics.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the predictions of a batch."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = multi_hot([target["labels"] for target in targets], self._num_classes)
        self._metrics.update(scores, truth.to(scores.device))

    def compute(self) -> dict[str, Any]:
        """Return the metrics over all predictions of all processes."""
        values = self._metrics.compute()
        return {"mean_average_precision": values["average_precision"].nanmean(), **values}
