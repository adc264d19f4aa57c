"""A head for multi-label classification: images with any number of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from gvt import Loss, Metric, PassedTo, Targets

from .dense import DenseHead


class MultiLabelClassifier(DenseHead):
    """Dense layers on the coarsest feature map; each image has any number of classes.

    Args:
        threshold: Score above which a class is predicted.
        pos_weight: Factor of each class's loss for positive samples.
        loss: Loss of logits and targets, 0 or 1, (N, num_classes) float32 each; binary cross
            entropy by default.
        metrics: Further metrics by name, of scores (N, num_classes) and targets (N, num_classes)
            int64.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If the number of factors is not the number of classes, `pos_weight` is combined
            with another loss, or the weights do not fit.
    """

    needs = ("labels",)
    predicts = ("labels", "scores")
    exports = ("torch",)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        threshold: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        pos_weight: list[PositiveFloat] | None = None,
        loss: Loss | None = None,
        metrics: dict[str, Metric] | None = None,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        if loss is not None and pos_weight is not None:
            raise ValueError("pos_weight is for the binary cross entropy; set it in loss")
        if pos_weight is not None and len(pos_weight) != num_classes:
            raise ValueError(
                f"pos_weight {pos_weight}: give a factor for each of the {num_classes} classes"
            )
        self.threshold, self.criterion, self.further = threshold, loss, metrics or {}
        factors = None if pos_weight is None else torch.tensor(pos_weight)
        self.register_buffer("pos_weight", factors, persistent=False)
        self.pos_weight: Tensor | None

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `binary_cross_entropy`, computed in float32, or the value of `loss`."""
        truth = multi_hot(targets["labels"], self.num_classes).to(outputs.device, torch.float32)
        if self.criterion is not None:
            return {"loss": self.criterion(outputs.float(), truth)}
        value = F.binary_cross_entropy_with_logits(
            outputs.float(), truth, pos_weight=self.pos_weight
        )
        return {"binary_cross_entropy": value}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return for each image its `labels` (M,) and `scores` (num_classes,)."""
        return [
            {**prediction, "labels": prediction["labels"][prediction["labels"] >= 0]}
            for prediction in super().predict(outputs)
        ]

    def tensors(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return `labels` (N, num_classes), ascending with -1 at the end, and `scores`."""
        scores = outputs.float().sigmoid()
        numbers = torch.arange(self.num_classes, device=scores.device)
        labels = numbers.where(scores > self.threshold, self.num_classes).sort(dim=1).values
        return {"labels": labels.masked_fill(labels == self.num_classes, -1), "scores": scores}

    def metric(self) -> Metric:
        """Return `mean_average_precision`, `precision`, `recall`, `f1`: means over the classes.

        `average_precision` has a value for each class. It is NaN for a class without positive
        samples, which does not count in the mean.
        """
        from .multilabel_metric import MultiLabelMetric

        return MultiLabelMetric(self.num_classes, self.threshold, self.further)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return the sum of |score - target| over the classes predicted wrongly, (N,)."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = multi_hot([target["labels"] for target in targets], self.num_classes)
        truth = truth.to(scores.device)
        wrong = (scores > self.threshold) != truth.bool()
        return ((scores - truth).abs() * wrong).sum(dim=1)


def multi_hot(labels: Sequence[Tensor], num_classes: int) -> Tensor:
    """Return (N, num_classes) int64, 1 for the classes of each image, given their indices (M,)."""
    hot = torch.zeros(len(labels), num_classes, dtype=torch.int64)
    for row, indices in zip(hot, labels, strict=True):
        row[indices.cpu()] = 1
    return hot
