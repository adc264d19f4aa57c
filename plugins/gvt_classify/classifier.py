"""Image classification on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from gvt import Batch, Dropout, Head, Loss, Metric, StackedMetric, Targets


class Classifier(Head):
    """Dense layers on the coarsest feature map.

    Args:
        feature_info: Of each feature map its (channels, stride), the coarsest last.
        num_classes: Number of classes.
        hidden: Widths of hidden dense layers, with ReLU.
        grid: The map is averaged to this many cells a side before it is flattened; 1 is global
            average pooling. A map that has this size already is left as it is.
        dropout: Share of the last dense layer's inputs dropped in training.
        loss: Of logits (N, num_classes) and class numbers (N,); cross entropy unless given.
        metrics: Further ones by name, of predicted and true class numbers, (N,) each.
    """

    needs = ("class",)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        hidden: tuple[PositiveInt, ...] = (),
        grid: PositiveInt = 1,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        loss: Loss | None = None,
        metrics: dict[str, Metric] | None = None,
    ) -> None:
        super().__init__()
        self.feature, (channels, _) = list(feature_info.items())[-1]
        self.num_classes = num_classes
        self.criterion, self.further = loss, metrics or {}
        self.pool = nn.AdaptiveAvgPool2d(grid)
        layers: list[nn.Module] = [nn.Flatten()]
        width = channels * grid * grid
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU()]
            width = next_width
        self.layers = nn.Sequential(*layers, Dropout(dropout), nn.Linear(width, num_classes))

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N, num_classes)."""
        feature = features[self.feature]
        if feature.shape[-2:] != (self.pool.output_size,) * 2:
            feature = self.pool(feature)
        logits: Tensor = self.layers(feature)
        return logits

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `cross_entropy`, computed in float32, or `loss`, another one."""
        if self.criterion is not None:
            return {"loss": self.criterion(outputs.float(), targets["class"])}
        return {"cross_entropy": F.cross_entropy(outputs.float(), targets["class"])}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return of each image its `class` () and `scores` (num_classes,), which sum to 1."""
        scores = outputs.float().softmax(dim=1)
        best = outputs.argmax(dim=1)
        return [{"class": c, "scores": s} for c, s in zip(best, scores, strict=True)]

    def metric(self) -> StackedMetric:
        """Return `accuracy` over the images, means over the classes, and the table `confusion`.

        `precision`, `recall` and `f1` are means over the classes that occur, in the truth or among
        the predictions; of a class that occurs in one of the two only they are 0.
        """
        from torchmetrics import MetricCollection, classification

        count = max(2, self.num_classes)
        metrics = {
            "accuracy": classification.MulticlassAccuracy(count, average="micro"),
            "precision": classification.MulticlassPrecision(count),
            "recall": classification.MulticlassRecall(count),
            "f1": classification.MulticlassF1Score(count),
            "confusion": classification.MulticlassConfusionMatrix(count),
        }
        for name, metric in self.further.items():
            metric.reset()
            metrics[name] = metric
        return StackedMetric(MetricCollection(metrics), "class", "class")

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 1 minus the score of the true class where another one was predicted."""
        truth = torch.stack([target["class"] for target in targets])
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        predicted = torch.stack([prediction["class"] for prediction in predictions])
        of_truth = scores.gather(1, truth[:, None]).squeeze(1)
        return torch.where(predicted == truth, torch.zeros_like(of_truth), 1 - of_truth)
