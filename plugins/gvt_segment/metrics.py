"""How good masks are, over all pixels of a data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gvt import IGNORED


class SegmentationMetric:
    """The confusion matrix of all pixels, and what follows from it.

    Pixels whose truth is 255 are not counted, nor those that no network saw, whose prediction
    is 255. It adds up over batches, images of any size, and processes.

    Args:
        channels: Number of classes, with the background.
    """

    def __init__(self, channels: int) -> None:
        from torchmetrics.classification import MulticlassConfusionMatrix

        # Its own checks look at every pixel again.
        self._matrix = MulticlassConfusionMatrix(
            channels, ignore_index=IGNORED, validate_args=False
        )

    def to(self, device: torch.device) -> SegmentationMetric:
        """Put its state where the predictions will be."""
        self._matrix.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the `semantic` maps of a batch, (H, W) each."""
        for prediction, target in zip(predictions, targets, strict=True):
            said, truth = prediction["semantic"].flatten(), target["semantic"].flatten()
            self._matrix.update(said, truth.masked_fill(said == IGNORED, IGNORED))

    def compute(self) -> dict[str, Tensor]:
        """Return the means over the classes, `iou`, `dice` and `accuracy` of each, `confusion`.

        A class that occurs neither in the truth nor among the predictions has no IoU or Dice, NaN,
        and one without a true pixel no accuracy; the means leave them out.
        """
        matrix = self._matrix.compute().cpu()
        exact = matrix.double()
        hits, truth, said = exact.diagonal(), exact.sum(1), exact.sum(0)
        found = _overlaps(hits, truth, said)
        return found | {"pixel_accuracy": hits.sum() / truth.sum(), "confusion": matrix}


class LabelMetric:
    """The overlap of masks, of each label by itself, over all pixels.

    Args:
        labels: Number of labels.
    """

    def __init__(self, labels: int) -> None:
        from torchmetrics.classification import MultilabelConfusionMatrix

        self._labels = labels
        self._matrix = MultilabelConfusionMatrix(labels, validate_args=False)

    def to(self, device: torch.device) -> LabelMetric:
        """Put its state where the predictions will be."""
        self._matrix.to(device)
        return self

    def update(self, predictions: list[dict[str, Any]], targets: list[dict[str, Any]]) -> None:
        """Add the `masks` of a batch: predicted (K, H, W), true (M, H, W) with `labels` (M,)."""
        for prediction, target in zip(predictions, targets, strict=True):
            truth = label_masks(target["masks"], target["labels"], self._labels)
            said = prediction["masks"].to(truth.device)
            self._matrix.update(said[None].int(), truth[None].int())

    def compute(self) -> dict[str, Tensor]:
        """Return the means over the labels, and `iou`, `dice` and `accuracy` of each.

        `pixel_accuracy` is the share of right decisions over all pixels and labels.
        """
        matrix = self._matrix.compute().cpu().double().view(self._labels, 2, 2)
        hits = matrix[:, 1, 1]
        found = _overlaps(hits, matrix[:, 1].sum(1), matrix[:, :, 1].sum(1))
        right = matrix.diagonal(dim1=1, dim2=2).sum()
        return found | {"pixel_accuracy": right / matrix.sum()}


def label_masks(masks: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return where each of `count` labels is, (K, H, W) float, of masks (M, H, W) of one each."""
    found = torch.zeros(count, *masks.shape[-2:], device=masks.device)
    for mask, label in zip(masks, labels.tolist(), strict=True):
        found[label] = found[label].maximum((mask > 0).float())
    return found


def counted(said: Tensor, truth: Tensor, channels: int) -> Tensor:
    """Return the confusion matrix of one image, (C, C), rows for the truth."""
    counts = (truth != IGNORED) & (said != IGNORED)
    pairs = truth[counts].long() * channels + said[counts]
    return torch.bincount(pairs, minlength=channels**2).view(channels, channels)


def _overlaps(hits: Tensor, truth: Tensor, said: Tensor) -> dict[str, Tensor]:
    """Return figures of the classes, of their pixels: right, true and predicted ones."""
    iou, dice = hits / (truth + said - hits), 2 * hits / (truth + said)
    return {
        "mean_iou": iou.nanmean(),
        "mean_dice": dice.nanmean(),
        "iou": iou,
        "dice": dice,
        "accuracy": hits / truth,
    }
