"""From pixels to what the heads say of them: padded, flipped, on the device."""

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
    """A task as it is asked about images of one size.

    Args:
        task: On its device, in eval mode.
        placement: Where and how it computes.
        flips: Whether to take the mean with flipped copies.
    """

    def __init__(self, task: Task, placement: Placement, flips: bool = False) -> None:
        self._task = task
        self._placement, self._flips = placement, flips
        self._least = _coarsest_stride(task)

    def forms(self, shape: tuple[int, int, int]) -> dict[str, Form]:
        """Return the form of each head's predictions, found by predicting a black image (C, H, W).

        Raises:
            UsageError: If there is one that cannot be written.
            NotImplementedError: If the task makes no predictions.
        """
        return forms_of(self._predictions(torch.zeros(1, *shape, dtype=torch.uint8), "probe")[0])

    def __call__(
        self, images: Sequence[Tensor], forms: Mapping[str, Form], source: str
    ) -> list[dict[str, Prediction]]:
        """Return of each image by head its `scores`, and what else it says of it.

        Args:
            images: (C, H, W) uint8 of one size; those smaller than the coarsest feature are filled
                up, with the pixels on their edge, to be seen at all.
            forms: Of the heads' predictions.
            source: What an error names.
        """
        height, width = images[0].shape[-2:]
        pixels = torch.stack([self._filled(image) for image in images])
        copies = FLIPS[: self._copies(forms)]
        found: list[dict[str, Prediction]] = [{} for _ in images]
        for number, flip in enumerate(copies):
            flipped = pixels.flip(flip) if flip else pixels
            for of_image, said in zip(found, self._predictions(flipped, source), strict=True):
                for head, part in by_head(said).items():
                    form = forms[head]
                    if form.is_dense:
                        scores = part["scores"].float()
                        scores = (scores.flip(flip) if flip else scores)[:, :height, :width]
                        _add(of_image, head, {"scores": scores}, 1 / len(copies))
                    elif form.key == "class" and number < 2:
                        scores = part["scores"].float()
                        _add(of_image, head, {"scores": scores}, 1 / min(2, len(copies)))
                    elif number == 0:
                        of_image[head] = dict(part)
        return found

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


def _add(found: dict[str, Prediction], head: str, part: dict[str, Tensor], share: float) -> None:
    scores = part["scores"] * share
    found[head] = {"scores": found[head]["scores"] + scores if head in found else scores}


def _coarsest_stride(task: Task) -> int:
    """Return the stride of the coarsest features, below which some networks see nothing."""
    info: Any = getattr(getattr(task, "backbone", None), "feature_info", None) or {}
    return max((int(stride) for _, stride in info.values()), default=1)
