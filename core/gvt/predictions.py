"""Predictions by head, and the names of the results of each head."""

from __future__ import annotations

from collections.abc import Mapping, Sized

from gvt.interfaces import Prediction

__all__ = ["by_head", "short_name"]


def by_head(prediction: Prediction) -> dict[str, Prediction]:
    """Return the prediction for an image as `{head: {key: value}}`.

    The prediction of a task without heads, such as `{"class": ..., "scores": ...}`, has the head
    "".
    """
    if prediction and all(isinstance(part, Mapping) for part in prediction.values()):
        return prediction
    return {"": prediction}


def short_name(head: str, heads: Sized, name: str) -> str:
    """Return `name` for the only head, and `head/name` for one of several."""
    return name if len(heads) == 1 else f"{head}/{name}"
