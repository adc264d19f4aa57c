"""What several heads' metrics are given, and what they say."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist

from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Curves, Metric


class MultiHeadMetric:
    """Gives every head's metric the predictions of that head and the truths that it needs.

    Args:
        metrics: By the heads' names.
        needs: Of each head the keys that a truth has to have.
        vocabularies: Of each head that learns from one part of mixed data the classes there.
        single: Whether there is but one head, whose predictions and figures bear their own names.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        needs: Mapping[str, tuple[str, ...]],
        vocabularies: Mapping[str, Vocabulary],
        single: bool,
    ) -> None:
        self._metrics, self._needs = metrics, needs
        self._vocabularies, self._single = vocabularies, single
        self._judged: set[str] = set()

    def to(self, device: torch.device) -> MultiHeadMetric:
        """Move what the metrics have counted."""
        for metric in self._metrics.values():
            metric.to(device)
        return self

    def update(self, predictions: list[Any], targets: list[Any]) -> None:
        """Add a batch, one dict an image."""
        for name, metric in self._metrics.items():
            words = self._vocabularies.get(name)
            pairs = [
                (p if self._single else p[name], t)
                for p, t in zip(predictions, targets, strict=True)
                if is_lesson(t, self._needs[name], words)
            ]
            if words is not None:
                pairs = [(words.own(p), words.own(t)) for p, t in pairs]
            if pairs:
                self._judged.add(name)
                metric.update([p for p, _ in pairs], [t for _, t in pairs])

    def compute(self) -> dict[str, Any]:
        """Return what the metrics say of everything added, by name; NaN of heads without truth."""
        judged = _of_all_processes(self._judged)
        found = {
            name: self._figures(name, metric, name in judged)
            for name, metric in self._metrics.items()
        }
        if self._single:
            return dict(next(iter(found.values())))
        return {f"{n}/{k}": v for n, values in found.items() for k, v in values.items()}

    def _figures(self, name: str, metric: Metric, judged: bool) -> Mapping[str, Any]:
        value = metric.compute() if judged else _unknown(metric)
        figures = value if isinstance(value, Mapping) else {"metric": value}
        words = self._vocabularies.get(name)
        return figures if words is None else words.named(figures)


def _of_all_processes(names: set[str]) -> set[str]:
    """Return the names that any process has."""
    if not dist.is_available() or not dist.is_initialized():
        return names
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, names)
    return set().union(*gathered)


def _unknown(metric: Metric) -> dict[str, Any]:
    """Return NaN for all numbers that a metric has, which nothing was added to, and no table."""
    with warnings.catch_warnings(action="ignore"):  # torchmetrics', of having nothing to compute
        value = metric.compute()
    figures = value if isinstance(value, Mapping) else {"metric": value}
    numbers = {n: torch.as_tensor(v) for n, v in figures.items() if not isinstance(v, Curves)}
    return {n: torch.full(v.shape, torch.nan) for n, v in numbers.items() if v.ndim < 2}


def is_lesson(
    target: Mapping[str, Any], needs: tuple[str, ...], vocabulary: Vocabulary | None
) -> bool:
    """Whether a truth has what a head needs, and is of the part of the data that teaches it."""
    return set(needs) <= target.keys() and (
        vocabulary is None or target.get("part") == vocabulary.part
    )
