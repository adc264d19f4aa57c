"""A head for image classification, on any backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from gvt import Batch, Loss, Metric, PassedTo, StackedMetric, Targets

from .dense import DenseHead


class Classifier(DenseHead):
    """Dense layers on the coarsest feature map; each image has one class.

    In training the class may also be given as shares of all classes, as MixUp and CutMix produce.

    Args:
        label_smoothing: Share of the target that is spread over all classes (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567).
        class_weights: Factor of each class in the cross entropy; `balanced` weights classes
            inversely to their frequency, N / (K * N of the class) for K classes that occur.
        class_counts: Training samples of each class, if the data set provides them.
        loss: Loss of logits (N, num_classes) and class indices (N,), or shares (N, num_classes);
            cross entropy by default.
        metrics: Further metrics by name, of predicted and true class indices, (N,) each.
        one_logit: Whether two classes have one logit, that of the second class against the first.
            The cross entropy is then the binary cross entropy.
        **dense: Parameters of `DenseHead`.

    Raises:
        ValueError: If the class weights do not fit the data, parameters of the cross entropy are
            combined with another loss, `one_logit` is set for other than two classes, or the
            weights do not fit.
    """

    needs = ("class",)
    predicts = ("class", "scores")
    exports = ("torch",)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weights: list[PositiveFloat] | Literal["balanced"] | None = None,
        class_counts: tuple[int, ...] | None = None,
        loss: Loss | None = None,
        metrics: dict[str, Metric] | None = None,
        one_logit: bool = False,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        if one_logit and num_classes != 2:
            raise ValueError(f"one_logit is for two classes, and the data has {num_classes}")
        super().__init__(feature_info, 1 if one_logit else num_classes, **dense)
        self.num_classes, self.one_logit = num_classes, one_logit
        if loss is not None and (class_weights is not None or label_smoothing):
            raise ValueError(
                "class_weights and label_smoothing are for the cross entropy; set them in loss"
            )
        self.criterion, self.further = loss, metrics or {}
        self.label_smoothing = label_smoothing
        factors = factors_of(class_weights, class_counts, num_classes)
        # Computed from the configuration and the data, so not part of a checkpoint.
        self.register_buffer("class_weights", factors, persistent=False)
        self.class_weights: Tensor | None

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N, num_classes); with `one_logit`, that of the first class is 0."""
        logits = super().forward(features, batch)
        return F.pad(logits, (1, 0)) if self.one_logit else logits

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `cross_entropy`, computed in float32, or the value of `loss`."""
        truth = targets["class"]
        if self.criterion is not None:
            return {"loss": self.criterion(outputs.float(), truth)}
        value = F.cross_entropy(
            outputs.float(), truth, self.class_weights, label_smoothing=self.label_smoothing
        )
        return {"cross_entropy": value}

    def tensors(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return `class` (N,) and `scores` (N, num_classes), which sum to 1 for each image."""
        return {"class": outputs.argmax(dim=1), "scores": outputs.float().softmax(dim=1)}

    def metric(self) -> StackedMetric:
        """Return `accuracy`, `precision`, `recall`, `f1` and the table `confusion`.

        `precision`, `recall` and `f1` are means over the classes that occur among targets or
        predictions. They are 0 for a class that occurs in only one of the two.
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
        """Return 1 minus the score of the true class if it was not predicted, else 0."""
        truth = torch.stack([target["class"] for target in targets])
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        predicted = torch.stack([prediction["class"] for prediction in predictions])
        true_scores = scores.gather(1, truth[:, None]).squeeze(1)
        return torch.where(predicted == truth, torch.zeros_like(true_scores), 1 - true_scores)


def factors_of(
    weights: Sequence[float] | Literal["balanced"] | None,
    counts: Sequence[int] | None,
    num_classes: int,
) -> Tensor | None:
    """Return the factor of each class in the loss, (num_classes,); None for equal factors.

    Args:
        weights: The factors, or `balanced`: N / (K * N of the class) for the K classes that occur,
            so that the mean over the samples is 1; and 1 for other classes.
        counts: Samples of each class.
        num_classes: Number of classes.

    Raises:
        ValueError: If the number of factors is not the number of classes, or `balanced` lacks
            counts.
    """
    if weights is None:
        return None
    if weights == "balanced":
        if counts is None:
            raise ValueError(
                "class_weights: balanced needs the number of samples of each class, but this data "
                "set has no attribute labels; give a factor for each class"
            )
        occurring = sum(count > 0 for count in counts)
        return torch.tensor([sum(counts) / (occurring * c) if c else 1.0 for c in counts])
    if len(weights) != num_classes:
        raise ValueError(
            f"class_weights {list(weights)}: give a factor for each of the {num_classes} classes"
        )
    return torch.tensor(weights)
