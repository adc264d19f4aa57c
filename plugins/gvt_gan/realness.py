"""Whether an image is real, on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Batch, Head, StackedMetric, Targets
from gvt.vision.padding import pooled


class Realness(Head):
    """One dense layer on the coarsest feature map, to a logit; larger is more real.

    In a discriminator it judges reals and fakes. As a head of its own it learns from the target
    `real` (), 1 or 0.

    Args:
        feature_info: Of each feature map its (channels, stride), the coarsest last.
        grid: The map is averaged to this many cells a side before it is flattened; 1 is global
            average pooling. A map that has this size already is left as it is. Padding is left out.
    """

    needs = ("real",)
    padding_reach = 0

    def __init__(self, feature_info: Mapping[str, tuple[int, int]], grid: PositiveInt = 1) -> None:
        super().__init__()
        self.feature, (channels, self.stride) = list(feature_info.items())[-1]
        self.grid = grid
        self.layer = nn.Linear(channels * grid * grid, 1)

    @staticmethod
    def gvt_targets(index: int) -> dict[str, Tensor]:
        """Return what a made-up picture is, for the conformance kit."""
        return {"real": torch.tensor(index % 2)}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N,)."""
        feature = pooled(features[self.feature], self.stride, batch.frame, self.grid)
        logits: Tensor = self.layer(feature.flatten(1))
        return logits.squeeze(1)

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `binary_cross_entropy`, computed in float32."""
        truth = _stacked(targets["real"]).to(outputs.device, torch.float32)
        return {"binary_cross_entropy": F.binary_cross_entropy_with_logits(outputs.float(), truth)}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return of each image `real` (), 1 or 0, and `scores` (), how sure it is a real one."""
        scores = outputs.float().sigmoid()
        return [{"real": (s > 0.5).long(), "scores": s} for s in scores]

    def metric(self) -> StackedMetric:
        """Return `accuracy`, the share of images told rightly."""
        from torchmetrics.classification import BinaryAccuracy

        return StackedMetric(BinaryAccuracy(), "real", "real", "accuracy")

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return how far the score is from the truth where that was told wrongly, (N,)."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = _stacked([target["real"] for target in targets]).to(scores.device)
        gap = (scores - truth).abs()
        return torch.where((scores > 0.5) == truth.bool(), torch.zeros_like(gap), gap)


def _stacked(truth: Any) -> Tensor:
    """Return (N,) of what each sample says, as a tensor or as numbers."""
    if isinstance(truth, Tensor):
        return truth
    return torch.stack([torch.as_tensor(of_one) for of_one in truth])
