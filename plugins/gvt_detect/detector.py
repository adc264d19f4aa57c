"""Base class of all detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gvt import Head, Metric

from .detections import Selection, detections, detections_of_batch


class Detector(Head):
    """Base class of heads that detect objects.

    Args:
        num_classes: Number of classes.
        weights: Factors of the losses, 1 by default.
        selection: Parameters of the selection of boxes.

    Attributes:
        losses: Names of the losses that can have a weight.

    Raises:
        ValueError: If `weights` names an unknown loss.
    """

    padding_reach = 0
    needs: tuple[str, ...] = ("boxes", "labels")
    predicts: tuple[str, ...] = ("boxes", "labels", "scores")
    losses: tuple[str, ...] = ()

    def __init__(
        self,
        num_classes: int,
        weights: Mapping[str, float] | None,
        selection: Selection,
    ) -> None:
        super().__init__()
        self.num_classes, self.weights, self.selection = num_classes, weights or {}, selection
        if unknown := sorted(set(self.weights) - set(self.losses)):
            raise ValueError(f"weights for {unknown}, the losses are {list(self.losses)}")

    def metric(self) -> Metric:
        """Return COCO's average precision."""
        from .metrics import DetectionMetric

        return DetectionMetric(self.num_classes, masks="masks" in self.needs)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 1 - F1 of each image's confident detections, (N,)."""
        from .metrics import mistakes

        return mistakes(predictions, targets)

    def _weighted(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.weights.get(name, 1.0) * loss for name, loss in losses.items()}


class OneStage(Detector):
    """Base class of detectors that score boxes all over the image, and select the best of them.

    Attributes:
        candidates: Most boxes of a class in non-maximum suppression.
    """

    exports = ("torch",)
    candidates: int = 1000

    def scored(self, outputs: Any) -> tuple[Tensor, Tensor]:
        """Return boxes (N, A, 4) in pixels, and the scores of their classes (N, A, K).

        Scores are 0 for boxes in the padding.
        """
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[dict[str, Any]]:
        """Return the `boxes`, `labels` and `scores` of each image, by descending score."""
        return [
            detections(boxes, scores, size, self.selection, self.candidates)
            for boxes, scores, size in zip(*self.scored(outputs), outputs.sizes, strict=True)
        ]

    def tensors(self, outputs: Any) -> dict[str, Tensor]:
        """Return `boxes` (N, D, 4), `labels` (N, D) and `scores` (N, D) of the D best boxes."""
        boxes, scores = self.scored(outputs)
        (size,) = outputs.sizes
        return detections_of_batch(boxes, scores, size, self.selection, self.candidates)
