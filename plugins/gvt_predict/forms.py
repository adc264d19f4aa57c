"""Forms of predictions: for whole images, for pixels, or for objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gvt import Prediction, UsageError
from gvt.geometry import is_spatial, scores_of_pixels
from gvt.predictions import by_head
from gvt.vision.drawing import MOST_CLASSES


@dataclass(frozen=True)
class Form:
    """The form of a head's predictions.

    Attributes:
        key: `class` or `labels` for images, `semantic` or `masks` for pixels, `boxes` for objects.
        channels: Number of scores of an image, of a pixel, or of an object.
    """

    key: str
    channels: int

    @property
    def is_dense(self) -> bool:
        """Whether there is a prediction for each pixel."""
        return self.key in ("semantic", "masks")

    @property
    def is_of_objects(self) -> bool:
        """Whether objects are predicted, with boxes and optionally masks."""
        return self.key == "boxes"


def forms_of(prediction: Prediction) -> dict[str, Form]:
    """Return the form of each head's prediction by the head's name.

    Raises:
        UsageError: If a prediction is neither for an image, nor for pixels, nor for objects.
    """
    parts = by_head(prediction)
    return {h: _form(f"head {h}: " if len(parts) > 1 else "", p) for h, p in parts.items()}


def _form(place: str, part: Mapping[str, Any]) -> Form:
    scores = part.get("scores")
    dense = scores_of_pixels(part)
    if dense is not None:
        if len(dense) > MOST_CLASSES:
            raise UsageError(
                f"{place}has {len(dense)} classes of pixels, but the PNG of a mask can have at "
                f"most {MOST_CLASSES}"
            )
        return Form("semantic" if "semantic" in part else "masks", len(dense))
    if isinstance(scores, Tensor) and scores.ndim == 1:
        if {"boxes", "labels"} <= part.keys():
            return Form("boxes", 1)
        for key in ("class", "labels"):
            if key in part and not is_spatial(part):
                return Form(key, len(scores))
    raise UsageError(
        f"{place}predictions of {', '.join(part) or 'nothing'} cannot be written; supported are "
        "scores for the classes of the image, for those of each pixel, or for boxes with labels"
    )
