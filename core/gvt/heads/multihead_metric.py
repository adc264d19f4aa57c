"""The metric of several heads, and the samples that each head is evaluated on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gvt.device.processes import World
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Curves, Head, Metric, Prediction
from gvt.predictions import short_name


class MultiHeadMetric:
    """The metrics of several heads, each over the predictions and targets of its head.

    Args:
        heads: Heads by name; those without a metric are left out.
        vocabularies: The classes of each head that learns from one part of mixed data.
    """

    def __init__(self, heads: Mapping[str, Head], vocabularies: Mapping[str, Vocabulary]) -> None:
        self.metrics = {n: m for n, head in heads.items() if (m := head.metric()) is not None}
        self._heads, self._vocabularies = heads, vocabularies
        self._judged: set[str] = set()
        self.needs = {key for m in self.metrics.values() for key in getattr(m, "needs", ())}

    def to(self, device: torch.device) -> MultiHeadMetric:
        """Move the metrics' state."""
        for metric in self.metrics.values():
            metric.to(device)
        return self

    def update(self, predictions: list[Any], targets: list[Any]) -> None:
        """Add a batch, one dict an image."""
        for name, metric in self.metrics.items():
            needs, words = self._heads[name].needs, self._vocabularies.get(name)
            rows, *pair = judged(name, needs, words, predictions, targets)
            if rows:
                self._judged.add(name)
                metric.update(*pair)

    def compute(self) -> dict[str, Any]:
        """Return the metrics' values over everything added, by name; NaN without targets."""
        judged_anywhere = set().union(*World.current().gather(self._judged))
        values: dict[str, Any] = {}
        for name, metric in self.metrics.items():
            figures = _computed(metric) if name in judged_anywhere else _unknown(metric)
            if (words := self._vocabularies.get(name)) is not None:
                figures = words.named(figures)
            values |= {short_name(name, self._heads, key): v for key, v in figures.items()}
        return values


def judged(
    head: str,
    needs: Sequence[str],
    vocabulary: Vocabulary | None,
    predictions: Sequence[Prediction],
    targets: Sequence[dict[str, Any]],
) -> tuple[list[int], list[Prediction], list[dict[str, Any]]]:
    """Return the samples that a head is evaluated on: rows, predictions of the head, and targets.

    These samples have all the targets that the head needs. If it learns from one part of mixed
    data, they belong to this part, and have its class numbers.

    Args:
        head: Name of the head.
        needs: Target keys that it needs.
        vocabulary: Its classes, if it learns from one part of mixed data.
        predictions: Predictions by head, one dict for each image.
        targets: Targets, one dict for each image.
    """
    rows = [
        row
        for row, (_, target) in enumerate(zip(predictions, targets, strict=True))
        if set(needs) <= target.keys()
        and (vocabulary is None or target.get("part") == vocabulary.part)
    ]
    of_head, truth = [predictions[row][head] for row in rows], [targets[row] for row in rows]
    if vocabulary is not None:
        of_head, truth = ([vocabulary.own(x) for x in part] for part in (of_head, truth))
    return rows, of_head, truth


def _computed(metric: Metric) -> Mapping[str, Any]:
    value = metric.compute()
    return value if isinstance(value, Mapping) else {"metric": value}


def _unknown(metric: Metric) -> dict[str, Any]:
    """Return NaN for each number of a metric without data; its tables are left out."""
    with warnings.catch_warnings(action="ignore"):  # torchmetrics warns that there is no data
        figures = _computed(metric)
    numbers = {n: torch.as_tensor(v) for n, v in figures.items() if not isinstance(v, Curves)}
    return {n: torch.full(v.shape, torch.nan) for n, v in numbers.items() if v.ndim < 2}
