"""Suppression that lowers the scores of overlapping boxes instead of dropping them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import box_iou

SIGMA = 0.5
"""Width of the Gaussian, as in the paper."""


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    method: Literal["linear", "gaussian"],
    iou: float,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Return which boxes come first, (K,) int64, and their lowered scores, (K,), falling.

    Bodla and others, 2017, https://arxiv.org/abs/1704.04503: whenever a box is taken, the scores
    of the others of its class fall with their overlap with it.

    Args:
        boxes: (M, 4).
        scores: (M,), not below 0.
        labels: (M,); boxes of different classes leave each other alone.
        method: `linear` multiplies by 1 - IoU where it is above `iou`, `gaussian` all by
            exp(-IoU^2 / 0.5).
        iou: See there.
        count: Boxes that are wanted; K is less where there are fewer.
    """
    left = scores.clone()
    taken = torch.zeros_like(scores, dtype=torch.bool)
    order, lowered = [], []
    # Nothing here waits for the device.
    for _ in range(min(count, len(scores))):
        best = left.argmax(dim=0, keepdim=True)
        order.append(best)
        lowered.append(left[best])
        overlap = box_iou(boxes[best], boxes)[0] * (labels == labels[best])
        if method == "linear":
            factor = torch.where(overlap > iou, 1 - overlap, 1)
        else:
            factor = torch.exp(-overlap.square() / SIGMA)
        taken[best] = True
        left = (left * factor).masked_fill(taken, -1)
    if not order:
        return labels.new_zeros(0), scores
    return torch.cat(order), torch.cat(lowered)
