"""Texture classification by the energy of wavelet bands.

A. Laine, J. Fan, Texture classification by wavelet packet signatures, 1993,
https://doi.org/10.1109/34.244679.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from gvt import Batch, Head, StackedMetric, Targets

from .haar import BANDS, energies


class WaveletEnergy(Head):
    """A linear layer on the log energy of the finest feature map's Haar bands.

    Args:
        feature_info: The (channels, stride) of each feature map, the finest first.
        num_classes: Number of classes.
    """

    needs = ("class",)

    def __init__(self, feature_info: Mapping[str, tuple[int, int]], num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.feature, (channels, _) = next(iter(feature_info.items()))
        self.layer = nn.Linear(len(BANDS) * channels, num_classes)

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return logits (N, num_classes)."""
        signature = energies(features[self.feature]).flatten(1)
        logits: Tensor = self.layer((signature + 1e-6).log())
        return logits

    def loss(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Return the mean `cross_entropy`."""
        return {"cross_entropy": F.cross_entropy(outputs.float(), targets["class"])}

    def predict(self, outputs: Tensor) -> list[dict[str, Any]]:
        """Return for each image its `class` () and `scores` (num_classes,), which sum to 1."""
        scores = outputs.float().softmax(dim=1)
        return [{"class": s.argmax(), "scores": s} for s in scores]

    def metric(self) -> StackedMetric:
        """Return `accuracy` over the images."""
        from torchmetrics.classification import MulticlassAccuracy

        accuracy = MulticlassAccuracy(max(2, self.num_classes), average="micro")
        return StackedMetric(accuracy, "class", "class", name="accuracy")
