"""Which settings of a saved configuration an override may change, by what is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from gvt.config import RunConfig


@dataclass(frozen=True)
class Changeable:
    """What may be changed in a configuration.

    Attributes:
        sections: Top-level sections that may be changed.
        fixed: Settings in these sections that may not, as dotted paths.
        settings: Settings in other sections that may be changed, as dotted paths.
    """

    sections: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def wrongly_changed(self, before: RunConfig, after: RunConfig) -> str | None:
        """Return the first section or fixed setting that differs and may not; None if all may.

        `settings` are compared, too: whoever allows them changes them in both configurations.
        """
        sections = [name for name in RunConfig.model_fields if name not in self.sections]
        for path in (*sections, *self.fixed):
            if attrgetter(path)(before) != attrgetter(path)(after):
                return path
        return None


RESUMING = Changeable(
    ("train", "evaluate", "predict", "run", "device"),
    fixed=("train.seed", "train.accumulate", "train.ema"),
    settings=("init_from", "data.workers"),
)
"""For a run that is resumed. The order of the data and the averages follow from what is fixed.

`settings` say where things are or how they are read, as do paths of data and weights, and change no
result.
"""

EVALUATING = Changeable(("recipe", "data", "evaluate", "predict", "run", "device"))
"""For a checkpoint that is evaluated: its networks and how they were trained stay as they are."""

OWN_EVALUATION = ("device", "data.root", "evaluate.batch_size")
"""Overrides that leave an evaluation the run's own: they say where and in what portions."""
