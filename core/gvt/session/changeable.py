"""The settings of a saved configuration that overrides may change, for each command."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from gvt.config import RunConfig
from gvt.config.injected import NETWORKS


@dataclass(frozen=True)
class Changeable:
    """Fixed sections of a configuration; all others, also those of plugins, may be changed.

    Attributes:
        fixed: Sections, and settings as dotted paths, that may not be changed.
        settings: Exceptions: settings in fixed sections that may be changed, as dotted paths.
    """

    fixed: tuple[str, ...]
    settings: tuple[str, ...] = ()

    def wrongly_changed(self, before: RunConfig, after: RunConfig) -> str | None:
        """Return the first fixed section or setting that differs, or None.

        `settings` are compared, too: a caller that allows them changes both configurations.
        """
        for path in self.fixed:
            if attrgetter(path)(before) != attrgetter(path)(after):
                return path
        return None


TRAINED = ("task", *NETWORKS, "heads", "optimizers", "init_from")
"""Sections that determine the model of a checkpoint, besides `train`."""

RESUMING = Changeable(
    ("recipe", "data", *TRAINED, "train.seed", "train.accumulate", "train.ema"),
    settings=("init_from", "data.workers"),
)
"""For resuming a run: the data, its order, the model and the averages are fixed.

`settings`, like paths of data and weights, do not change results.
"""

OPENING = Changeable((*TRAINED, "train"))
"""For opening a checkpoint: its model and the settings of its training are fixed."""

OWN_EVALUATION = ("device", "data.root", "evaluate.batch_size")
"""Overrides with which an evaluation is recorded as the run's own: they do not change results."""
