"""What all detectors share: what they learn from, and how they are judged."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gvt import Head, Metric


class Detector(Head):
    """A head that finds objects.

    Attributes:
        num_classes: Number of classes.
    """

    needs: tuple[str, ...] = ("boxes", "labels")
    num_classes: int

    def metric(self) -> Metric:
        """Return COCO's average precision."""
        from .metrics import DetectionMetric

        return DetectionMetric(self.num_classes, masks="masks" in self.needs)

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return 1 - F1 of each image's sure detections, (N,)."""
        from .metrics import mistakes

        return mistakes(predictions, targets)
