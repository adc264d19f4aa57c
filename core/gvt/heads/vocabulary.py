"""The classes of a head that learns from one part of mixed data, among the classes of all parts."""

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
"""What counts classes, in targets and in predictions."""


@dataclass(frozen=True)
class Vocabulary:
    """Which samples of mixed data teach a head, and what its classes are called outside of it.

    A head has the classes of its own part, from 0. Data, predictions and figures go by the classes
    of all parts, so that a number means one thing everywhere.

    Attributes:
        part: Name of the part that the head learns from.
        classes: Names of the head's classes.
        numbers: Of each of them its number among the classes of all parts.
        total: How many classes all parts have.
    """

    part: str
    classes: tuple[str, ...]
    numbers: tuple[int, ...]
    total: int

    def own_targets(self, targets: Targets) -> Targets:
        """Return a batch's targets, of samples of the part alone, in the head's numbers."""
        dense = {key: self._own(key, value) for key, value in targets.dense.items()}
        ragged = {
            key: [None if value is None else self._own(key, value) for value in values]
            for key, values in targets.ragged.items()
        }
        return replace(targets, dense=dense, ragged=ragged)

    def own(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return one image's truth or prediction in the head's numbers."""
        found = {key: self._own(key, value) for key, value in known.items()}
        if _scores_classes(known):
            found["scores"] = self.own_scores(known["scores"])
        return found

    def own_scores(self, scores: Tensor) -> Tensor:
        """Return (K, ...) of the head's classes, and of its background, out of those of all."""
        rows = [*self.numbers, *range(self.total, len(scores))]
        return scores[torch.tensor(rows, device=scores.device)]

    def outside(self, prediction: Prediction) -> Prediction:
        """Return one image's prediction in the numbers of all parts.

        Raises:
            ConfigError: If each pixel may have several labels.
        """
        if "masks" in prediction and "boxes" not in prediction:
            raise ConfigError(
                "a head that gives each pixel several labels cannot learn from one part of mixed "
                "data, whose masks would have other places among all classes"
            )
        own, all_ = range(len(self.classes) + 1), [*self.numbers, self.total]
        found = {
            key: _renumbered(value, own, all_) if key in _NUMBERED else value
            for key, value in prediction.items()
        }
        if _scores_classes(prediction):
            found["scores"] = self._spread(prediction["scores"])
        return found

    def named(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """Return a metric's figures with those of single classes by the classes' names.

        Tables and curves are of all classes; those of other parts are empty.
        """
        found: dict[str, Any] = {}
        for name, value in figures.items():
            if isinstance(value, Curves):
                empty = value.y.new_full((self.total, value.y.shape[1]), torch.nan)
                empty[list(self.numbers)] = value.y
                found[name] = replace(value, y=empty)
            elif not self._of_classes(value):
                found[name] = value
            elif value.ndim == 2:
                found[name] = self._spread(self._spread(value).T).T
            else:
                names = [*self.classes, "background"]
                found |= {f"{name}/{n}": v for n, v in zip(names, value, strict=False)}
        return found

    def _of_classes(self, value: Any) -> bool:
        """Whether a figure is a vector or a table over the classes, and perhaps a background."""
        if not isinstance(value, Tensor) or value.ndim not in (1, 2):
            return False
        return len(value) - len(self.classes) in (0, 1)

    def _spread(self, rows: Tensor) -> Tensor:
        """Return (K, ...) of the head's classes, and of its background, as rows of all classes."""
        count = len(self.classes)
        spread = rows.new_zeros((self.total + len(rows) - count, *rows.shape[1:]))
        spread[list(self.numbers)] = rows[:count]
        spread[self.total :] = rows[count:]
        return spread

    def _own(self, key: str, value: Any) -> Any:
        if key not in _NUMBERED:
            return value
        value = torch.as_tensor(value)
        if value.is_floating_point():  # shares of the classes, as MixUp makes them
            return value[..., list(self.numbers)]
        return _renumbered(value, [*self.numbers, self.total], range(len(self.classes) + 1))


def _scores_classes(known: Mapping[str, Any]) -> bool:
    """Whether something has a score of each class, and not of objects."""
    return isinstance(known.get("scores"), Tensor) and "boxes" not in known


def _renumbered(value: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Return numbers of classes, the last one of none, as other ones; what is ignored stays so."""
    table = torch.full((max(IGNORED, *before) + 1,), IGNORED)
    table[list(before)] = torch.tensor(list(after))
    return table.to(value.device)[value.long()]
