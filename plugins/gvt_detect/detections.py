"""From what a network thinks of many boxes to the few that are objects."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image


def detections(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    *,
    score_threshold: float,
    nms: float,
    max_detections: int,
    candidates: int = 1000,
) -> dict[str, Tensor]:
    """Return one image's prediction: `boxes` (D, 4), `labels` (D,), `scores` (D,), falling.

    Boxes are clipped to the image, those without an area are dropped, and of two boxes of a class
    that overlap too much the less likely one is. What is not a number stays, for whoever judges
    the prediction to see.

    Args:
        boxes: (M, 4) xyxy in pixels, or (M, K, 4), of each class its own.
        scores: (M, K), of each class, in [0, 1].
        size: Unpadded (H, W) of the image.
        score_threshold: Boxes whose score is not above it are left out.
        nms: IoU above which the less likely of two boxes of a class is dropped.
        max_detections: Most boxes of an image.
        candidates: Most boxes of each class that are compared with each other, the surest ones: so
            no class is lost because there is much of another.
    """
    # Not `scores > threshold`, which would hide what is not a number.
    rows, labels = (~(scores <= score_threshold)).nonzero(as_tuple=True)
    of_class = boxes[rows] if boxes.ndim == 2 else boxes[rows, labels]
    found = clip_boxes_to_image(of_class.float(), size)
    there = ~(found[:, 2:] <= found[:, :2]).any(dim=1)
    found, labels, sure = found[there], labels[there], scores[rows, labels].float()[there]
    best = _surest_of_each_class(sure, labels, candidates)
    found, labels, sure = found[best], labels[best], sure[best]
    kept = batched_nms(found, sure, labels, nms)[:max_detections]
    return {"boxes": found[kept], "labels": labels[kept], "scores": sure[kept]}


def _surest_of_each_class(scores: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return which of M boxes are the `count` surest of their class, the surest of all first."""
    order = scores.argsort(descending=True, stable=True)
    grouped, places = labels[order].sort(stable=True)
    ranks = torch.empty_like(order)
    ranks[places] = torch.arange(len(order), device=order.device) - torch.searchsorted(
        grouped, grouped
    )
    return order[ranks < count]


def inside(points: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """Return of each image whether points are in it and not in its padding, (N, P) bool.

    Args:
        points: (P, 2), x and y in pixels.
        sizes: Unpadded (H, W) of each image.
    """
    limits = torch.tensor(sizes, dtype=points.dtype, device=points.device).flip(1)
    return (points < limits[:, None]).all(dim=-1)
