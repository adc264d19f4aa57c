"""A head that predicts whether an image is real, on any backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from gvt import Batch, Head, StackedMetric, Targets
from gvt.vision.padding import pooled, seen_frame


class Realness(Head):
    """One dense layer on the coarsest feature map to a logit; positive means real.

    It is trained as part of a discriminator, or as a head of its own with the target `real` (), 1
    or 0.

    Args:
        feature_info: The (channels, stride) of each feature map, the coarsest last.
        grid: Side of the grid that the map is averaged to before it is flattened; 1 is global
            average pooling. A map of that size is not changed.
        ignore_padding: Whether an image of a padded batch is treated as if it were alone. Models
            of checkpoint format 1 were trained without.
    """

    needs = ("real",)
    predicts = ("real", "scores")
    exports = ("torch",)
    padding_reach = 0
    gvt_unrecorded: ClassVar[Mapping[str, Any]] = {"ignore_padding": False}

    def __init__(
        self,
        feature_info: Mapping[str, tuple[int, int]],
        grid: PositiveInt = 1,
        ignore_padding: bool = True,
    ) -> None:
        super().__init__()
        self.feature, (channels, self.stride) = list(feature_info.items())[-1]
        self.grid, self.ignore_padding = grid, ignore_padding
        self.layer = nn.Linear(channels * grid * grid, 1)

    @staticmethod
    def gvt_targets(index: int) -> dict[str, Tensor]:
        """Return targets of a synthetic image, for the conformance kit."""
        return {"real": torch.tensor(index % 2)}

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N,)."""
        frame = seen_frame(batch.frame, self.ignore_padding)
        feature = pooled(features[self.feature], self.stride, frame, self.grid)
        logits: Tensor = self.layer(feature.flatten(1))
        return logits.squeeze(1)

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `binary_cross_entropy`, computed in float32."""
        truth = _stacked(targets["real"]).to(outputs.device, torch.float32)
        return {"binary_cross_entropy": F.binary_cross_entropy_with_logits(outputs.float(), truth)}

    def tensors(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return `real` (N,), 1 or 0, and `scores` (N,), the probability of real."""
        scores = outputs.float().sigmoid()
        return {"real": (scores > 0.5).long(), "scores": scores}

    def metric(self) -> StackedMetric:
        """Return `accuracy`, the share of correct predictions."""
        from torchmetrics.classification import BinaryAccuracy

        return StackedMetric(BinaryAccuracy(), "real", "real", "accuracy")

    def errors(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> Tensor:
        """Return |score - truth| of wrong predictions, and 0 for correct ones, (N,)."""
        scores = torch.stack([prediction["scores"] for prediction in predictions])
        truth = _stacked([target["real"] for target in targets]).to(scores.device)
        gap = (scores - truth).abs()
        return torch.where((scores > 0.5) == truth.bool(), torch.zeros_like(gap), gap)


def _stacked(truth: Any) -> Tensor:
    """Return the targets of all samples, tensors or numbers, as (N,)."""
    if isinstance(truth, Tensor):
        return truth
    return torch.stack([torch.as_tensor(value) for value in truth])
