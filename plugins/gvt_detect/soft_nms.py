"""Soft non-maximum suppression, which lowers the scores of overlapping boxes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import box_iou

SIGMA = 0.5
"""Sigma of the Gaussian, as in the paper."""


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    method: Literal["linear", "gaussian"],
    iou: float,
    count: int,
) -> tuple[Tensor, Tensor]:
    """Return the indices of the best boxes, (K,) int64, and their lowered scores, (K,), descending.

    Bodla et al. 2017, https://arxiv.org/abs/1704.04503. When a box is selected, the scores of the
    other boxes of its class are lowered by their IoU with it.

    Args:
        boxes: (M, 4).
        scores: (M,), not negative.
        labels: (M,); boxes of different classes do not interact.
        method: `linear` multiplies by 1 - IoU if that is above `iou`, `gaussian` always by
            exp(-IoU^2 / 0.5).
        iou: Threshold of `linear`.
        count: Most boxes to return.
    """
    remaining = scores.clone()
    selected = torch.zeros_like(scores, dtype=torch.bool)
    order, lowered = [], []
    # No operation here synchronises with the device.
    for _ in range(min(count, len(scores))):
        best = remaining.argmax(dim=0, keepdim=True)
        order.append(best)
        lowered.append(remaining[best])
        overlap = box_iou(boxes[best], boxes)[0] * (labels == labels[best])
        if method == "linear":
            factor = torch.where(overlap > iou, 1 - overlap, 1)
        else:
            factor = torch.exp(-overlap.square() / SIGMA)
        selected[best] = True
        remaining = (remaining * factor).masked_fill(selected, -1)
    if not order:
        return labels.new_zeros(0), scores
    return torch.cat(order), torch.cat(lowered)
