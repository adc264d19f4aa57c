"""What a logged number measures: the kind of a figure, and the class that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["training loss", "learning rate", "loss", "metric", "cosine"]
"""`loss` and `metric` are of an evaluation, and `cosine` is that between two heads' gradients."""


@dataclass(frozen=True)
class Figure:
    """What a number that a run logs measures.

    Attributes:
        kind: The kind of number.
        of_class: The class that it is for, or its index in any other vector; None for a number
            that is not one of several.
    """

    kind: Kind = "metric"
    of_class: str | None = None

    @classmethod
    def of_training(cls, name: str) -> Figure:
        """Return what a number of a training step measures; `cosine/HEAD/HEAD` is a cosine."""
        is_cosine = name.startswith("cosine/") and name.count("/") == 2
        return cls("cosine" if is_cosine else "training loss")


def to_document(figures: Mapping[str, Figure]) -> dict[str, dict[str, str]]:
    """Return figures by name as plain data, such as `{"val/loss/a": {"kind": "loss"}}`."""
    classes = {n: {"class": f.of_class} for n, f in figures.items() if f.of_class is not None}
    return {n: {"kind": f.kind, **classes.get(n, {})} for n, f in figures.items()}
