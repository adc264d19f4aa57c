"""Sampling of the regions that R-CNN trains on, with the targets of its three phases."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.ops import box_iou


class Examples(NamedTuple):
    """The sampled regions of one or more images, including the true boxes.

    Attributes:
        boxes: (R, 4).
        is_true: (R,) bool, whether a region is a true box itself.
        iou: (R,), with the best matching true box.
        matched: (R, 4), that box; arbitrary if `iou` is 0.
        labels: (R,) int64, that box's class.
        overlaps: (R, K), the highest IoU with a true box of each class.
    """

    boxes: Tensor
    is_true: Tensor
    iou: Tensor
    matched: Tensor
    labels: Tensor
    overlaps: Tensor

    def sides(self, below: float) -> Tensor:
        """Return the target of each class's SVM for each region, (R, K).

        It is 1 for a true box of the class, -1 for a region whose IoU with all of them is below a
        threshold (also for an object of another class), and 0, ignored, for the rest.
        """
        sides = -(self.overlaps < below).float()
        is_class = self.is_true[:, None] & F.one_hot(self.labels, sides.shape[1]).bool()
        return sides.masked_fill(is_class, 1.0)


def sampled(
    proposals: Tensor,
    truth: Tensor,
    labels: Tensor,
    classes: int,
    sampler: BalancedPositiveNegativeSampler,
    iou: float,
) -> Examples:
    """Return all true boxes of an image, and a random sample of its proposals.

    Args:
        proposals: (P, 4).
        truth: (M, 4).
        labels: (M,), the classes of the true boxes.
        classes: Number of classes.
        sampler: Number of proposals, and of positives among them; draws from torch's generator.
        iou: Smallest IoU of a positive proposal.
    """
    valid = (truth[:, 2:] > truth[:, :2]).all(dim=1)
    truth, labels = truth[valid].float(), labels[valid]
    positive = (_overlaps(proposals, truth).amax(dim=1) >= iou).long()
    chosen = torch.stack([masks[0] for masks in sampler([positive])]).any(dim=0).bool()
    boxes = torch.cat([truth, proposals[chosen]])
    overlaps = _overlaps(boxes, truth)
    best, indices = overlaps.max(dim=1)
    is_class = F.one_hot(F.pad(labels, (0, 1)), classes)
    return Examples(
        boxes,
        torch.arange(len(boxes), device=boxes.device) < len(truth),
        best,
        F.pad(truth, (0, 0, 0, 1))[indices],
        F.pad(labels, (0, 1))[indices],
        (overlaps[:, :, None] * is_class).amax(dim=1),
    )


def _overlaps(boxes: Tensor, truth: Tensor) -> Tensor:
    """Return the IoU (R, M + 1); the last column is 0, so there is always one."""
    return F.pad(box_iou(boxes, truth), (0, 1))
