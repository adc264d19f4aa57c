"""Checks of the form of boxes, labels and masks, in targets and in predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

_EDGE = 1e-3
"""Pixels by which a box may reach beyond its image, because of rounding."""


def is_tensor(what: str, value: Any, shape: tuple[int, ...]) -> str | None:
    """Return a complaint unless a value is a tensor of a shape."""
    if not isinstance(value, Tensor):
        return f"{what} came as a {type(value).__name__}, expected a tensor {shape}"
    if tuple(value.shape) != shape:
        return f"{what} came as {tuple(value.shape)}, expected {shape}"
    return None


def truth_complaint(targets: Mapping[str, Any], size: tuple[int, int], classes: int) -> str | None:
    """Return what is wrong with the boxes, labels and masks of a sample of (H, W) pixels."""
    return next(_of_truth(targets, size, classes), None)


def detections_complaint(
    prediction: Mapping[str, Any], size: tuple[int, int], canvas: tuple[int, int], classes: int
) -> str | None:
    """Return what is wrong with the predicted boxes, labels, scores and masks of an image.

    Args:
        prediction: The prediction, with `boxes`.
        size: (H, W) of the image.
        canvas: (H, W) with the padding.
        classes: Number of classes.
    """
    return next(_of_detections(prediction, size, canvas, classes), None)


def _of_truth(targets: Mapping[str, Any], size: tuple[int, int], classes: int) -> Iterator[str]:
    objects = {key: targets[key] for key in ("boxes", "labels", "masks") if key in targets}
    counts = {key: len(value) for key, value in objects.items()}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{count} {key}" for key, count in counts.items())
        yield f"it has {numbers}; each object has one of each"
    for key, value in objects.items():
        shape = {"boxes": (4,), "masks": size}.get(key, ())
        yield from _form(f"target {key!r}", value, (counts[key], *shape))
    if "boxes" in objects:
        yield from _boxes("target 'boxes'", objects["boxes"], size, positive=True)
    if "labels" in objects:
        yield from _labels("target 'labels'", objects["labels"], classes)
    if "masks" in objects:
        yield from _masks("target 'masks'", objects["masks"], (torch.uint8, torch.bool))


def _of_detections(
    prediction: Mapping[str, Any], size: tuple[int, int], canvas: tuple[int, int], classes: int
) -> Iterator[str]:
    boxes, labels, scores = (prediction.get(key) for key in ("boxes", "labels", "scores"))
    count = len(prediction["boxes"])
    yield from _form("prediction 'boxes'", boxes, (count, 4))
    yield from _form("prediction 'labels', one for each box,", labels, (count,))
    yield from _form("prediction 'scores', one for each box,", scores, (count,))
    assert isinstance(boxes, Tensor) and isinstance(labels, Tensor) and isinstance(scores, Tensor)
    yield from _boxes("prediction 'boxes'", boxes, size)
    yield from _labels("prediction 'labels'", labels, classes)
    if not bool(((scores >= 0) & (scores <= 1)).all()):  # NaN is not in this range, either
        yield "prediction 'scores': they have to be from 0 to 1"
    if bool((scores.diff() > 0).any()):
        yield "prediction 'scores': they have to be in descending order"
    if "masks" in prediction:
        yield from _form("prediction 'masks'", prediction["masks"], (count, *canvas))
        yield from _masks("prediction 'masks'", prediction["masks"], (torch.bool,))


def _form(what: str, value: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if problem := is_tensor(what, value, shape):
        yield problem


def _boxes(
    what: str, boxes: Tensor, size: tuple[int, int], *, positive: bool = False
) -> Iterator[str]:
    if boxes.dtype != torch.float32:
        yield f"{what} are {boxes.dtype}; expected torch.float32"
    if not bool(boxes.isfinite().all()):
        yield f"{what} are not all finite"
    height, width = size
    limit = boxes.new_tensor([width, height, width, height]) + _EDGE
    for box in boxes[((boxes < -_EDGE) | (boxes > limit)).any(dim=1)].tolist():
        yield f"{what}: {_written(box)} reaches beyond the image of {height}x{width} pixels"
    sides = boxes[:, 2:] - boxes[:, :2]
    for box in boxes[(sides < 0).any(dim=1)].tolist():
        yield f"{what}: {_written(box)} is reversed; the upper left corner comes first"
    for box in boxes[(sides <= 0).any(dim=1) & positive].tolist():
        yield f"{what}: {_written(box)} has no area"


def _written(box: list[float]) -> str:
    return "[" + ", ".join(f"{edge:.4g}" for edge in box) + "]"


def _labels(what: str, labels: Tensor, classes: int) -> Iterator[str]:
    if labels.dtype != torch.int64:
        yield f"{what} are {labels.dtype}; expected torch.int64"
    for number in labels[(labels < 0) | (labels >= classes)].tolist():
        yield f"{what}: one is {number}, and there are {classes} classes from 0"


def _masks(what: str, masks: Tensor, dtypes: tuple[torch.dtype, ...]) -> Iterator[str]:
    if masks.dtype not in dtypes:
        yield f"{what} are {masks.dtype}; expected {' or '.join(map(str, dtypes))}"
    if bool((masks > 1).any()):
        yield f"{what} have values above 1; a mask is 0 or 1"
