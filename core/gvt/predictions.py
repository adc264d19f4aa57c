"""Predictions by head, and the shorter form and names for a single head."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import TypeVar

from gvt.interfaces import Prediction

__all__ = ["by_head", "short", "short_name"]

T = TypeVar("T")


def by_head(prediction: Prediction) -> dict[str, Prediction]:
    """Return an image's prediction as `{head: {key: value}}`.

    The prediction of a task without heads, such as `{"class": ..., "scores": ...}`, is that of
    a head "".
    """
    if prediction and all(isinstance(part, Mapping) for part in prediction.values()):
        return prediction
    return {"": prediction}


def short(parts: Mapping[str, T]) -> T | Mapping[str, T]:
    """Return what belongs to the only head, or by head what belongs to several."""
    return next(iter(parts.values())) if len(parts) == 1 else parts


def short_name(head: str, heads: Sized, name: str) -> str:
    """Return `name` for the only head, and `head/name` for one of several."""
    return name if len(heads) == 1 else f"{head}/{name}"
