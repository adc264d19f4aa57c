"""Selection of the boxes of an image: scores, non-maximum suppression, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from pydantic import PositiveInt
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image, nms

from gvt import Frame, NonFiniteError

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
    order, ranks = _ranked(class_scores, labels)
    best = order[ranks < candidates]
    clipped, labels, class_scores = clipped[best], labels[best], class_scores[best]
    kept = batched_nms(clipped, class_scores, labels, selection.nms)[: selection.max_detections]
    return {"boxes": clipped[kept], "labels": labels[kept], "scores": class_scores[kept]}


def detections_of_batch(
    boxes: Tensor,
    scores: Tensor,
    size: tuple[int, int],
    selection: Selection,
    candidates: int = 1000,
) -> dict[str, Tensor]:
    """Return the `detections` of N images of one size in fixed shapes, for exported programs.

    `boxes` (N, D, 4), `labels` (N, D) and `scores` (N, D) are filled up to D, the most detections,
    with boxes of zeros, -1 and 0.

    Args:
        boxes: (N, M, 4) xyxy in pixels.
        scores: (N, M, K), of the classes, in [0, 1].
        size: (H, W) of the images.
        selection: Parameters of the selection.
        candidates: Most boxes of each class in non-maximum suppression.
    """
    count, most = boxes.shape[0], selection.max_detections
    images, rows, labels = (~(scores <= selection.score_threshold)).nonzero(as_tuple=True)
    clipped = clip_boxes_to_image(boxes[images, rows].float(), size)
    valid = (~(clipped[:, 2:] <= clipped[:, :2]).any(dim=1)).nonzero().flatten()
    images, rows, labels, clipped = images[valid], rows[valid], labels[valid], clipped[valid]
    best = scores[images, rows, labels].float()
    # Boxes of different classes or images are moved apart, in float64 to keep their fractions.
    groups = images * scores.shape[2] + labels
    order, ranks = _ranked(best, groups)
    order = order[ranks < candidates]
    apart = clipped.double() + (groups * (size[0] + size[1]))[:, None]
    # The shape of torchvision's operation is at least 2 in exported programs, so two more boxes,
    # outside of all images, are the last.
    apart = torch.cat([apart[order], apart.new_tensor([[-2, -2, -1, -1], [-4, -4, -3, -3]])])
    order_scores = torch.cat([best[order], best.new_full((2,), -1)])
    kept = order[nms(apart, order_scores.double(), selection.nms)[:-2]]
    order, ranks = _ranked(best[kept], images[kept])
    kept, ranks = kept[order[ranks < most]], ranks[ranks < most]
    places = images[kept] * most + ranks
    filled = {
        "boxes": boxes.new_zeros(count * most, 4, dtype=torch.float32),
        "labels": labels.new_full((count * most,), -1),
        "scores": boxes.new_zeros(count * most, dtype=torch.float32),
    }
    values = {"boxes": clipped, "labels": labels, "scores": best}
    return {
        key: whole.index_put((places,), values[key][kept]).unflatten(0, (count, most))
        for key, whole in filled.items()
    }


def filled_up(predictions: Sequence[Mapping[str, Tensor]], count: int) -> dict[str, Tensor]:
    """Return the predictions of N images as tensors (N, count, ...), with -1 for no label."""
    return {
        key: torch.stack([_filled_up(p[key], count, -(key == "labels")) for p in predictions])
        for key in predictions[0]
    }


def _filled_up(value: Tensor, count: int, filler: int) -> Tensor:
    return torch.cat([value, value.new_full((count - len(value), *value.shape[1:]), filler)])


def _ranked(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Return the order of descending scores, and the rank of each of them in its group, from 0."""
    order = scores.argsort(descending=True, stable=True)
    grouped, places = groups[order].sort(stable=True)
    numbers = torch.arange(order.shape[0], device=order.device)
    ranks = torch.empty_like(order)
    ranks[places] = numbers - torch.searchsorted(grouped, grouped)
    return order, ranks


def sizes_of(frame: Frame, count: int) -> list[tuple[int, int]]:
    """Return the unpadded (H, W) of each image; a deployed model has one size for all images."""
    return list(frame.sizes * count if len(frame.sizes) == 1 else frame.sizes)


def scales(sizes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """Return the factors from relative coordinates xyxy to pixels of each image, (N, 4)."""
    height, width = torch.tensor(sizes, dtype=like.dtype, device=like.device).T
    return torch.stack([width, height, width, height], dim=1)


def inside(points: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
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
