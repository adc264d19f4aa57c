"""Forward passes for prediction: padding, flips, and the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gvt import Batch, Frame, Placement, Prediction, Record, Task
from gvt.predictions import by_head
from gvt_predict.forms import Form

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Dimensions along which each copy of an image is flipped; classes use the first two copies."""


class Scorer:
    """Predicts images of one size at a time.

    Args:
        task: Task on its device, in eval mode.
        placement: Device and precision.
        flips: Whether scores are averaged over flipped copies.
    """

    def __init__(self, task: Task, placement: Placement, flips: bool = False) -> None:
        self._task, self._placement, self._flips = task, placement, flips
        self._least = _coarsest_stride(task)

    def keys(self, shape: tuple[int, int, int]) -> dict[str, tuple[str, ...]]:
        """Return the keys of each head's predictions, those for a black image (C, H, W).

        It is for tasks that do not declare them. Scores that are one number are left out.

        Raises:
            NotImplementedError: If the task makes no predictions.
        """
        black = torch.zeros(1, *shape, dtype=torch.uint8)
        parts = by_head(self._predictions(black, "probe")[0])
        return {
            head: tuple(k for k, v in part.items() if k != "scores" or torch.as_tensor(v).ndim)
            for head, part in parts.items()
        }

    def __call__(
        self, images: Sequence[Tensor], forms: Mapping[str, Form], source: str
    ) -> list[dict[str, Prediction]]:
        """Return the `scores` of each image by head, and objects and labels as predicted.

        Args:
            images: Images (C, H, W) uint8 of one size; those smaller than the coarsest stride are
                padded with their edge pixels.
            forms: Form of the predictions of each head.
            source: Name of the image in errors.
        """
        height, width = images[0].shape[-2:]
        pixels = torch.stack([self._padded(image) for image in images])
        copies = FLIPS[: self._copies(forms)]
        scored: list[dict[str, Prediction]] = [{} for _ in images]
        for number, flip in enumerate(copies):
            flipped = pixels.flip(flip) if flip else pixels
            predictions = self._predictions(flipped, source)
            for by_name, prediction in zip(scored, predictions, strict=True):
                for head, part in by_head(prediction).items():
                    form = forms[head]
                    if form.is_dense:
                        scores = part["scores"].float()
                        scores = (scores.flip(flip) if flip else scores)[:, :height, :width]
                        _add(by_name, head, scores, 1 / len(copies))
                    elif form.key == "class" and number < 2:
                        _add(by_name, head, part["scores"].float(), 1 / min(2, len(copies)))
                    elif number == 0:
                        by_name[head] = dict(part)
        return scored

    def _copies(self, forms: Mapping[str, Form]) -> int:
        if not self._flips:
            return 1
        if any(form.is_dense for form in forms.values()):
            return 4
        return 2 if any(form.key == "class" for form in forms.values()) else 1

    def _predictions(self, pixels: Tensor, source: str) -> list[Prediction]:
        """Return the task's predictions for images (N, C, H, W) uint8."""
        size = (pixels.shape[-2], pixels.shape[-1])
        batch = Batch(
            {"image": self._placement.images(pixels)},
            Frame((size,) * len(pixels), size),
            records=[Record(source, size)] * len(pixels),
        )
        with torch.no_grad(), self._placement.autocast():
            return self._task.predict(batch)

    def _padded(self, pixels: Tensor) -> Tensor:
        bottom, right = (max(0, self._least - side) for side in pixels.shape[-2:])
        if not bottom and not right:
            return pixels
        return torch.from_numpy(np.pad(pixels, ((0, 0), (0, bottom), (0, right)), mode="edge"))


def _add(scored: dict[str, Prediction], head: str, scores: Tensor, share: float) -> None:
    """Add the scores of one copy, times its weight, to the mean scores of a head."""
    scores = scores * share
    scored[head] = {"scores": scored[head]["scores"] + scores if head in scored else scores}


def _coarsest_stride(task: Task) -> int:
    """Return the coarsest stride of the features; some backbones need images of this size."""
    backbone = getattr(task, "whole", None) or getattr(task, "backbone", None)
    info: Any = getattr(backbone, "feature_info", None) or {}
    return max((int(stride) for _, stride in info.values()), default=1)
