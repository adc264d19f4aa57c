"""Images that may be of several classes, or of none."""

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
    """Dense layers on the coarsest feature map; each picture is of any number of classes.

    Args:
        threshold: Classes with a score above it are predicted.
        pos_weight: Factor of each class's loss where it is true.
        loss: Of logits and truth, 0 or 1, (N, num_classes) float32 each; binary cross entropy
            unless given.
        metrics: Further ones by name, of scores (N, num_classes) and truth (N, num_classes) int64.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If there is not one factor for each class, or the weights do not fit.
    """

    needs = ("labels",)

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
            raise ValueError("pos_weight is for the binary cross entropy; give it to loss")
        if pos_weight is not None and len(pos_weight) != num_classes:
            raise ValueError(
                f"pos_weight {pos_weight}: give a factor for each of the {num_classes} classes"
            )
        self.threshold, self.criterion, self.further = threshold, loss, metrics or {}
        factors = None if pos_weight is None else torch.tensor(pos_weight)
        self.register_buffer("pos_weight", factors, persistent=False)
        self.pos_weight: Tensor | None

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `binary_cross_entropy`, computed in float32, or `loss`, another one."""
        truth = multi_hot(targets["labels"], self.num_classes).to(outputs.device, torch.float32)
        if self.criterion is not None:
            return {"loss": self.criterion(outputs.float(), truth)}
        value = F.binary_cross_entropy_with_logits(
            outputs.float(), truth, pos_weight=self.pos_weight
        )
        return {"binary_cross_entropy": value}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return of each image its `labels` (M,) and the `scores` (num_classes,) of all classes."""
        scores = outputs.float().sigmoid()
        return [
            {"labels": (of_one > self.threshold).nonzero().flatten(), "scores": of_one}
            for of_one in scores
        ]

    def metric(self) -> Metric:
        """Return `mean_average_precision`, `precision`, `recall`, `f1`: means over the classes.

        `average_precision` is that of each class. A class that is nowhere true has none, and does
        not count in the mean.
        """
        from .multilabel_metric import MultiLabelMetric

        return MultiLabelMetric(self.num_classes, self.threshold, self.further)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return the sum of what is lacking to the truth, over the classes told wrongly."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = multi_hot([target["labels"] for target in targets], self.num_classes)
        truth = truth.to(scores.device)
        wrong = (scores > self.threshold) != truth.bool()
        return ((scores - truth).abs() * wrong).sum(dim=1)


def multi_hot(labels: Sequence[Tensor], num_classes: int) -> Tensor:
    """Return (N, num_classes) int64, 1 for the classes of each image, of their numbers (M,)."""
    hot = torch.zeros(len(labels), num_classes, dtype=torch.int64)
    for row, numbers in zip(hot, labels, strict=True):
        row[numbers.cpu()] = 1
    return hot
