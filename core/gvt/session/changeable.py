"""Which settings of a saved configuration an override may change, by what is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from gvt.config import RunConfig
from gvt.config.injected import NETWORKS


@dataclass(frozen=True)
class Changeable:
    """What may be changed in a configuration: all but what is fixed, also sections of plugins.

    Attributes:
        fixed: Sections, and settings as dotted paths, that may not be changed.
        settings: Settings in these sections that may be changed all the same, as dotted paths.
    """

    fixed: tuple[str, ...]
    settings: tuple[str, ...] = ()

    def wrongly_changed(self, before: RunConfig, after: RunConfig) -> str | None:
        """Return the first section or setting that differs and may not; None if all may.

        `settings` are compared, too: whoever allows them changes them in both configurations.
        """
        for path in self.fixed:
            if attrgetter(path)(before) != attrgetter(path)(after):
                return path
        return None


TRAINED = ("task", *NETWORKS, "heads", "optimizers", "init_from")
"""Sections that made the networks of a checkpoint what they are, beside `train`."""

RESUMING = Changeable(
    ("recipe", "data", *TRAINED, "train.seed", "train.accumulate", "train.ema"),
    settings=("init_from", "data.workers"),
)
"""For a run that is resumed. The order of the data and the averages follow from what is fixed.

`settings` say where things are or how they are read, as do paths of data and weights, and change no
result.
"""

OPENING = Changeable((*TRAINED, "train"))
"""For a checkpoint that is opened: its networks and how they were trained stay as they are."""

OWN_EVALUATION = ("device", "data.root", "evaluate.batch_size")
"""Overrides that leave an evaluation the run's own: they say where and in what portions."""
