"""Map the classes of a head that learns from one part of mixed data to those of all parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gvt.batch import IGNORED, Targets
from gvt.errors import ConfigError
from gvt.interfaces import Curves, Prediction

_NUMBERED = frozenset({"class", "labels", "semantic"})
"""Keys of targets and predictions that hold class numbers."""


@dataclass(frozen=True)
class Vocabulary:
    """Maps the class numbers of a head to those of the whole mixed data set.

    A head has the classes of its part, from 0. Data, predictions and metrics use the class numbers
    of all parts.

    Attributes:
        part: Name of the part that the head learns from.
        classes: Names of the classes of the head.
        numbers: Number of each of them among the classes of all parts.
        total: Number of classes of all parts.
    """

    part: str
    classes: tuple[str, ...]
    numbers: tuple[int, ...]
    total: int

    def own_targets(self, targets: Targets) -> Targets:
        """Return the targets of a batch of the part's samples, with the head's class numbers."""
        dense = {key: self._own(key, value) for key, value in targets.dense.items()}
        ragged = {
            key: [None if value is None else self._own(key, value) for value in values]
            for key, values in targets.ragged.items()
        }
        return replace(targets, dense=dense, ragged=ragged)

    def own(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return the targets or the prediction of an image with the head's class numbers."""
        result = {key: self._own(key, value) for key, value in known.items()}
        if _scores_classes(known):
            result["scores"] = self.own_scores(known["scores"])
        return result

    def own_scores(self, scores: Tensor) -> Tensor:
        """Return the rows of the head's classes and its background, from those of all parts."""
        rows = [*self.numbers, *range(self.total, len(scores))]
        return scores[torch.tensor(rows, device=scores.device)]

    def outside(self, prediction: Prediction, axis: int = 0) -> Prediction:
        """Return the prediction of an image with the class numbers of all parts.

        Args:
            prediction: The prediction, or the tensors of a batch.
            axis: The axis of the classes in its scores; 1 for a batch.

        Raises:
            ConfigError: If pixels may have several labels.
        """
        if "masks" in prediction and "boxes" not in prediction:
            raise ConfigError(
                "a head that gives each pixel several labels cannot learn from one part of mixed "
                "data, whose masks would have other places among all classes"
            )
        own, all_ = range(len(self.classes) + 1), [*self.numbers, self.total]
        result = {
            key: _renumbered(value, own, all_) if key in _NUMBERED else value
            for key, value in prediction.items()
        }
        if _scores_classes(prediction):
            rows = prediction["scores"].movedim(axis, 0)
            result["scores"] = self._spread(rows).movedim(0, axis)
        return result

    def named(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figures of a metric, those of single classes with the names of the classes.

        Tables and curves have rows of all classes; those of other parts are empty.
        """
        result: dict[str, Any] = {}
        for name, value in figures.items():
            if isinstance(value, Curves):
                y = value.y.new_full((self.total, value.y.shape[1]), torch.nan)
                y[list(self.numbers)] = value.y
                result[name] = replace(value, y=y)
            elif not self._of_classes(value):
                result[name] = value
            elif value.ndim == 2:
                result[name] = self._spread(self._spread(value).T).T
            else:
                names = [*self.classes, "background"]
                result |= {f"{name}/{n}": v for n, v in zip(names, value, strict=False)}
        return result

    def _of_classes(self, value: Any) -> bool:
        """Return whether a figure has a row for each class, and perhaps for the background."""
        is_by_class = isinstance(value, Tensor) and value.ndim in (1, 2)
        return is_by_class and len(value) - len(self.classes) in (0, 1)

    def _spread(self, rows: Tensor) -> Tensor:
        """Return rows (K, ...) of the head's classes and background as rows of all classes."""
        count = len(self.classes)
        spread = rows.new_zeros((self.total + len(rows) - count, *rows.shape[1:]))
        spread[list(self.numbers)] = rows[:count]
        spread[self.total :] = rows[count:]
        return spread

    def _own(self, key: str, value: Any) -> Any:
        if key not in _NUMBERED:
            return value
        value = torch.as_tensor(value)
        if value.is_floating_point():  # shares of the classes, from MixUp
            return value[..., list(self.numbers)]
        return _renumbered(value, [*self.numbers, self.total], range(len(self.classes) + 1))


def _scores_classes(known: Mapping[str, Any]) -> bool:
    """Return whether the scores are those of classes, and not of objects."""
    return isinstance(known.get("scores"), Tensor) and "boxes" not in known


def _renumbered(value: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Return class numbers mapped to others; the last is the background, `IGNORED` and -1 stay."""
    table = torch.full((max(IGNORED, *before) + 2,), IGNORED)
    table[[*before, -1]] = torch.tensor([*after, -1])
    return table.to(value.device)[value.long()]
