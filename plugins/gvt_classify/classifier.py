"""Image classification on any backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor

from gvt import Loss, Metric, PassedTo, StackedMetric, Targets

from .dense import DenseHead


class Classifier(DenseHead):
    """Dense layers on the coarsest feature map; each picture is of one class.

    In training a picture's class may come as shares of all classes, as MixUp and CutMix make them.

    Args:
        label_smoothing: Share of the truth that is spread over all classes (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567).
        class_weights: Factor of each class in the cross entropy; `balanced` makes up for their
            numbers of training samples, N / (K * N of the class) for K classes that occur.
        class_counts: Training samples of each class, where the data set knows.
        loss: Of logits (N, num_classes) and class numbers (N,), or shares (N, num_classes); cross
            entropy unless given.
        metrics: Further ones by name, of predicted and true class numbers, (N,) each.
        **dense: Those of `DenseHead`.

    Raises:
        ValueError: If the class weights do not fit the data, or something is given for the cross
            entropy though there is another loss, or the weights do not fit.
    """

    needs = ("class",)

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        num_classes: int,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weights: list[PositiveFloat] | Literal["balanced"] | None = None,
        class_counts: tuple[int, ...] | None = None,
        loss: Loss | None = None,
        metrics: dict[str, Metric] | None = None,
        **dense: Annotated[Any, PassedTo(DenseHead)],
    ) -> None:
        super().__init__(feature_info, num_classes, **dense)
        if loss is not None and (class_weights is not None or label_smoothing):
            raise ValueError(
                "class_weights and label_smoothing are for the cross entropy; give them to loss"
            )
        self.criterion, self.further = loss, metrics or {}
        self.label_smoothing = label_smoothing
        factors = factors_of(class_weights, class_counts, num_classes)
        # Made anew of the configuration and the data's facts, so no part of a checkpoint.
        self.register_buffer("class_weights", factors, persistent=False)
        self.class_weights: Tensor | None

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `cross_entropy`, computed in float32, or `loss`, another one."""
        truth = targets["class"]
        if self.criterion is not None:
            return {"loss": self.criterion(outputs.float(), truth)}
        value = F.cross_entropy(
            outputs.float(), truth, self.class_weights, label_smoothing=self.label_smoothing
        )
        return {"cross_entropy": value}

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


def factors_of(
    wanted: Sequence[float] | Literal["balanced"] | None,
    counts: Sequence[int] | None,
    num_classes: int,
) -> Tensor | None:
    """Return the factor of each class in the loss, (num_classes,), None where all are equal.

    Args:
        wanted: The factors, or `balanced`: N / (K * N of the class), for the K classes that occur,
            so that their mean over the samples is 1; and 1 for others.
        counts: Samples of each class.
        num_classes: Number of classes.

    Raises:
        ValueError: If there is not one for each class, or the counts are unknown.
    """
    if wanted is None:
        return None
    if wanted == "balanced":
        if counts is None:
            raise ValueError(
                "class_weights: balanced needs the number of samples of each class, which this "
                "data set does not say (attribute labels); give a number for each class"
            )
        occurring = sum(count > 0 for count in counts)
        return torch.tensor([sum(counts) / (occurring * c) if c else 1.0 for c in counts])
    if len(wanted) != num_classes:
        raise ValueError(
            f"class_weights {list(wanted)}: give a factor for each of the {num_classes} classes"
        )
    return torch.tensor(wanted)
