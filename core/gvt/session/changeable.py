"""The sections of a saved configuration that overrides may not change, for each command."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from gvt.config import RunConfig
from gvt.config.injected import NETWORKS

TRAINED = ("task", *NETWORKS, "networks", "heads", "optimizers", "init_from")
"""Sections that determine the model of a checkpoint, besides `train`."""

RESUMING = ("recipe", "data", *TRAINED, "train.seed", "train.accumulate", "train.ema")
"""For resuming a run: the data, its order, the model and the averages are fixed."""

FITTING = (*RESUMING, "train.unfreeze", "train.clip_norm", "train.clip_value")
"""For resuming a run in code, whose settings a script repeats: all that determine its result."""

MOVABLE = ("init_from", "data.workers")
"""Exceptions for resuming a run: like paths of data and weights, they do not change results."""

OPENING = (*TRAINED, "train")
"""For opening a checkpoint: its model and the settings of its training are fixed."""

OWN_EVALUATION = ("device", "data.root", "evaluate.batch_size")
"""Overrides with which an evaluation is recorded as the run's own: they do not change results."""


def first_change(fixed: Iterable[str], before: RunConfig, after: RunConfig) -> str | None:
    """Return the first of some sections and settings, as dotted paths, that differs, or None."""
    return next((p for p in fixed if attrgetter(p)(before) != attrgetter(p)(after)), None)
