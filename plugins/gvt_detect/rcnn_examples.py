"""Of an image the regions that R-CNN learns from, and what each of its three parts is told."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.ops import box_iou


class Examples(NamedTuple):
    """The regions of one image, or of several; the true boxes are among them.

    Attributes:
        boxes: (R, 4).
        is_true: (R,) bool, whether a region is a true box itself.
        iou: (R,), with the true box that it overlaps most.
        wanted: (R, 4), that box; without a meaning where `iou` is 0.
        labels: (R,) int64, that box's class.
        overlaps: (R, K), the highest IoU with a true box of each class.
    """

    boxes: Tensor
    is_true: Tensor
    iou: Tensor
    wanted: Tensor
    labels: Tensor
    overlaps: Tensor

    def sides(self, below: float) -> Tensor:
        """Return what each class's machine learns of each region, (R, K).

        A true box of the class is on its side, 1; a region that has an IoU below a threshold with
        all of them, and be it an object of another class, on the other, -1; the rest, 0, on none.
        """
        sides = -(self.overlaps < below).float()
        own = self.is_true[:, None] & F.one_hot(self.labels, sides.shape[1]).bool()
        return sides.masked_fill(own, 1.0)


def sampled(
    proposals: Tensor,
    truth: Tensor,
    labels: Tensor,
    classes: int,
    sampler: BalancedPositiveNegativeSampler,
    iou: float,
) -> Examples:
    """Return all true boxes of an image, and a random choice of its proposals.

    Args:
        proposals: (P, 4).
        truth: (M, 4).
        labels: (M,), the classes of the true boxes.
        classes: How many there are.
        sampler: Says how many proposals, and how many of them positive; draws from torch's
            generator.
        iou: From which on a proposal is positive.
    """
    there = (truth[:, 2:] > truth[:, :2]).all(dim=1)
    truth, labels = truth[there].float(), labels[there]
    positive = (_overlaps(proposals, truth).amax(dim=1) >= iou).long()
    chosen = torch.stack([masks[0] for masks in sampler([positive])]).any(dim=0).bool()
    boxes = torch.cat([truth, proposals[chosen]])
    overlaps = _overlaps(boxes, truth)
    best, matched = overlaps.max(dim=1)
    of_class = F.one_hot(F.pad(labels, (0, 1)), classes)
    return Examples(
        boxes,
        torch.arange(len(boxes), device=boxes.device) < len(truth),
        best,
        F.pad(truth, (0, 0, 0, 1))[matched],
        F.pad(labels, (0, 1))[matched],
        (overlaps[:, :, None] * of_class).amax(dim=1),
    )


def _overlaps(boxes: Tensor, truth: Tensor) -> Tensor:
    """Return the IoU (R, M + 1), the last of which is 0, so that there always is one."""
    return F.pad(box_iou(boxes, truth), (0, 1))
