"""Selection of the boxes of an image: scores, non-maximum suppression, limits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image

from gvt import NonFiniteError

from .types import Share


@dataclass(frozen=True)
class Selection:
    """Parameters of the selection of boxes.

    Args:
        score_threshold: Boxes with scores up to this one are dropped.
        nms: IoU above which the box with the lower score of two of a class is dropped.
        max_detections: Most boxes of an image.
    """

    score_threshold: Share = 0.05
    nms: Share = 0.5
    max_detections: PositiveInt = 100


def detections(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    selection: Selection,
    candidates: int = 1000,
) -> dict[str, Tensor]:
    """Return one image's `boxes` (D, 4), `labels` (D,) and `scores` (D,), by descending score.

    Boxes are clipped to the image and dropped if they have no area; non-maximum suppression
    follows. NaN is kept, so that the caller can detect it.

    Args:
        boxes: (M, 4) xyxy in pixels, or (M, K, 4), one for each class.
        scores: (M, K), of the classes, in [0, 1].
        size: Unpadded (H, W) of the image.
        selection: Parameters of the selection.
        candidates: Most boxes of each class in non-maximum suppression, those with the highest
            scores. The limit is by class, so that a frequent class does not displace others.
    """
    # Not `scores > threshold`, which would drop NaN.
    rows, labels = (~(scores <= selection.score_threshold)).nonzero(as_tuple=True)
    selected = boxes[rows] if boxes.ndim == 2 else boxes[rows, labels]
    clipped = clip_boxes_to_image(selected.float(), size)
    valid = ~(clipped[:, 2:] <= clipped[:, :2]).any(dim=1)
    clipped, labels, class_scores = (
        clipped[valid],
        labels[valid],
        scores[rows, labels].float()[valid],
    )
    best = _best_of_each_class(class_scores, labels, candidates)
    clipped, labels, class_scores = clipped[best], labels[best], class_scores[best]
    kept = batched_nms(clipped, class_scores, labels, selection.nms)[: selection.max_detections]
    return {"boxes": clipped[kept], "labels": labels[kept], "scores": class_scores[kept]}


def _best_of_each_class(scores: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` highest scores of each class, in descending order."""
    order = scores.argsort(descending=True, stable=True)
    grouped, places = labels[order].sort(stable=True)
    ranks = torch.empty_like(order)
    ranks[places] = torch.arange(len(order), device=order.device) - torch.searchsorted(
        grouped, grouped
    )
    return order[ranks < count]


def inside(points: Tensor, sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """Return whether points are in each image, not in its padding, (N, P) bool.

    Args:
        points: (P, 2), x and y in pixels.
        sizes: Unpadded (H, W) of each image.
    """
    limits = torch.tensor(sizes, dtype=points.dtype, device=points.device).flip(1)
    return (points < limits[:, None]).all(dim=-1)


def check_finite(boxes: Tensor, scores: Tensor) -> None:
    """Check the boxes and scores of a prediction.

    Raises:
        NonFiniteError: If one is not a finite number.
    """
    if not (boxes.isfinite().all() and scores.isfinite().all()):
        raise NonFiniteError(
            "a predicted box or its score is not a finite number; training may have diverged: "
            "lower the learning rate"
        )
