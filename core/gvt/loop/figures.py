"""What a logged number measures: the kind of a figure, and the class that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["training loss", "learning rate", "loss", "metric"]
"""`loss` and `metric` are of an evaluation."""


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


def to_document(figures: Mapping[str, Figure]) -> dict[str, dict[str, str]]:
    """Return figures by name as plain data, such as `{"val/loss/a": {"kind": "loss"}}`."""
    return {
        name: {"kind": figure.kind}
        | ({} if figure.of_class is None else {"class": figure.of_class})
        for name, figure in figures.items()
    }


def from_document(document: Any) -> dict[str, Figure]:
    """Return the figures of a document by name, without those that cannot be understood."""
    figures = {}
    for name, parts in document.items() if isinstance(document, Mapping) else ():
        if isinstance(parts, Mapping) and parts.get("kind") in get_args(Kind):
            of_class = parts.get("class")
            figures[name] = Figure(parts["kind"], None if of_class is None else str(of_class))
    return figures
