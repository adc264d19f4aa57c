"""IoU, Dice and accuracy of masks, over all pixels of a data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gvt import IGNORED


class SegmentationMetric:
    """Confusion matrix of all pixels, with the figures derived from it.

    Pixels whose truth is 255 do not count, nor do those whose prediction is 255, since no model
    has seen them. Batches, images of any size, and processes are added up.

    Args:
        channels: Number of classes, including the background.
    """

    def __init__(self, channels: int) -> None:
        from torchmetrics.classification import MulticlassConfusionMatrix

        # Its own validation would read every pixel again.
        self._matrix = MulticlassConfusionMatrix(
            channels, ignore_index=IGNORED, validate_args=False
        )

    def to(self, device: torch.device) -> SegmentationMetric:
        """Move the state to a device."""
        self._matrix.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the `semantic` maps of a batch, (H, W) each."""
        for prediction, target in zip(predictions, targets, strict=True):
            predicted, truth = prediction["semantic"].flatten(), target["semantic"].flatten()
            self._matrix.update(predicted, truth.masked_fill(predicted == IGNORED, IGNORED))

    def compute(self) -> dict[str, Tensor]:
        """Return the means over the classes, `iou`, `dice` and `accuracy` of each, `confusion`.

        IoU and Dice are NaN for a class that occurs neither in the truth nor in the predictions,
        and accuracy for one without true pixels. The means leave them out.
        """
        matrix = self._matrix.compute().cpu()
        exact = matrix.double()
        hits, truth, predicted = exact.diagonal(), exact.sum(1), exact.sum(0)
        figures = _overlaps(hits, truth, predicted)
        return figures | {"pixel_accuracy": hits.sum() / truth.sum(), "confusion": matrix}


class LabelMetric:
    """Overlap of the masks of each label, over all pixels.

    Args:
        labels: Number of labels.
    """

    def __init__(self, labels: int) -> None:
        from torchmetrics.classification import MultilabelConfusionMatrix

        self._labels = labels
        self._matrix = MultilabelConfusionMatrix(labels, validate_args=False)

    def to(self, device: torch.device) -> LabelMetric:
        """Move the state to a device."""
        self._matrix.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the `masks` of a batch: predicted (K, H, W), true (M, H, W) with `labels` (M,)."""
        for prediction, target in zip(predictions, targets, strict=True):
            truth = label_masks(target["masks"], target["labels"], self._labels)
            predicted = prediction["masks"].to(truth.device)
            self._matrix.update(predicted[None].int(), truth[None].int())

    def compute(self) -> dict[str, Tensor]:
        """Return the means over the labels, and `iou`, `dice` and `accuracy` of each.

        `pixel_accuracy` is the share of correct decisions over all pixels and labels.
        """
        matrix = self._matrix.compute().cpu().double().view(self._labels, 2, 2)
        hits = matrix[:, 1, 1]
        figures = _overlaps(hits, matrix[:, 1].sum(1), matrix[:, :, 1].sum(1))
        correct = matrix.diagonal(dim1=1, dim2=2).sum()
        return figures | {"pixel_accuracy": correct / matrix.sum()}


def label_masks(masks: Tensor, labels: Tensor, count: int) -> Tensor:
    """Merge masks (M, H, W) with labels (M,) to one for each label, (count, H, W) float."""
    merged = torch.zeros(count, *masks.shape[-2:], device=masks.device)
    for mask, label in zip(masks, labels.tolist(), strict=True):
        merged[label] = merged[label].maximum((mask > 0).float())
    return merged


def counted(predicted: Tensor, truth: Tensor, channels: int) -> Tensor:
    """Return the confusion matrix of one image, (C, C), with a row for each true class."""
    counts = (truth != IGNORED) & (predicted != IGNORED)
    pairs = truth[counts].long() * channels + predicted[counts]
    return torch.bincount(pairs, minlength=channels**2).view(channels, channels)


def _overlaps(hits: Tensor, truth: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """Return the figures of the classes from their correct, true and predicted pixels."""
    iou, dice = hits / (truth + predicted - hits), 2 * hits / (truth + predicted)
    return {
        "mean_iou": iou.nanmean(),
        "mean_dice": dice.nanmean(),
        "iou": iou,
        "dice": dice,
        "accuracy": hits / truth,
    }
