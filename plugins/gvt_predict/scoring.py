"""From pixels to the heads' predictions: images are padded, flipped, and put on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gvt import Batch, Frame, Placement, Prediction, Record, Task
from gvt.predictions import by_head
from gvt_predict.forms import Form, forms_of

FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""The dimensions of images along which each copy is flipped; the first two are for classes."""


class Scorer:
    """Predicts images of one size at a time.

    Args:
        task: The task, on its device and in eval mode.
        placement: Where and how it computes.
        flips: Whether to average over flipped copies.
    """

    def __init__(self, task: Task, placement: Placement, flips: bool = False) -> None:
        self._task, self._placement, self._flips = task, placement, flips
        self._least = _coarsest_stride(task)

    def forms(self, shape: tuple[int, int, int]) -> dict[str, Form]:
        """Return the form of each head's predictions, found by predicting a black image (C, H, W).

        Raises:
            UsageError: If a form cannot be written.
            NotImplementedError: If the task makes no predictions.
        """
        return forms_of(self._predictions(torch.zeros(1, *shape, dtype=torch.uint8), "probe")[0])

    def __call__(
        self, images: Sequence[Tensor], forms: Mapping[str, Form], source: str
    ) -> list[dict[str, Prediction]]:
        """Return each image's `scores` by head, and objects and labels as they are predicted.

        Args:
            images: (C, H, W) uint8 of one size; those smaller than the coarsest feature are
                padded with the pixels on their edge.
            forms: The forms of the heads' predictions.
            source: The image's name in errors.
        """
        height, width = images[0].shape[-2:]
        pixels = torch.stack([self._filled(image) for image in images])
        copies = FLIPS[: self._copies(forms)]
        scored: list[dict[str, Prediction]] = [{} for _ in images]
        for number, flip in enumerate(copies):
            flipped = pixels.flip(flip) if flip else pixels
            predictions = self._predictions(flipped, source)
            for of_image, prediction in zip(scored, predictions, strict=True):
                for head, part in by_head(prediction).items():
                    form = forms[head]
                    if form.is_dense:
                        scores = part["scores"].float()
                        scores = (scores.flip(flip) if flip else scores)[:, :height, :width]
                        _add(of_image, head, scores, 1 / len(copies))
                    elif form.key == "class" and number < 2:
                        _add(of_image, head, part["scores"].float(), 1 / min(2, len(copies)))
                    elif number == 0:
                        of_image[head] = dict(part)
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
            images=self._placement.images(pixels),
            frame=Frame((size,) * len(pixels), size),
            records=[Record(source, size)] * len(pixels),
        )
        with torch.no_grad(), self._placement.autocast():
            return self._task.predict(batch)

    def _filled(self, pixels: Tensor) -> Tensor:
        bottom, right = (max(0, self._least - side) for side in pixels.shape[-2:])
        if not bottom and not right:
            return pixels
        return torch.from_numpy(np.pad(pixels, ((0, 0), (0, bottom), (0, right)), mode="edge"))


def _add(scored: dict[str, Prediction], head: str, scores: Tensor, share: float) -> None:
    """Add a copy's share of the mean scores of a head."""
    scores = scores * share
    scored[head] = {"scores": scored[head]["scores"] + scores if head in scored else scores}


def _coarsest_stride(task: Task) -> int:
    """Return the stride of the coarsest features, below which some networks see nothing."""
    info: Any = getattr(getattr(task, "backbone", None), "feature_info", None) or {}
    return max((int(stride) for _, stride in info.values()), default=1)
