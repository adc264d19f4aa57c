"""gvt: generative and discriminative vision, from plugins.

    run = gvt.run("gan.mnist", "train.steps=200")
    task = gvt.load(run.checkpoint)

Names are imported when they are first used (PEP 562), so that `import gvt` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gvt_registry import Component

if TYPE_CHECKING:
    from gvt.api import resume, run
    from gvt.batch import Batch, Frame, Record, Sample, Targets
    from gvt.build import create
    from gvt.config import (
        DataConfig,
        EvaluateConfig,
        OptimizerConfig,
        RunConfig,
        TrainConfig,
        compose,
    )
    from gvt.data import Loader
    from gvt.device import Placement
    from gvt.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        GvtError,
        Interrupted,
        NonFiniteError,
        OutOfMemoryError,
        UsageError,
    )
    from gvt.evaluation import Evaluation, evaluate
    from gvt.interfaces import (
        Backbone,
        Dataset,
        Discriminator,
        Generator,
        Head,
        Loss,
        Metric,
        Phase,
        Step,
        Task,
    )
    from gvt.judging import evaluate_checkpoint
    from gvt.layers import Dropout
    from gvt.listener import Listener, Run
    from gvt.metrics import StackedMetric
    from gvt.multihead import MultiHead
    from gvt.runs.display import Display
    from gvt.saved import load, sample
    from gvt.seeding import random_source
    from gvt.trainer import Trainer

_HOMES = {
    "gvt.api": ("run", "resume"),
    "gvt.batch": ("Batch", "Frame", "Record", "Sample", "Targets"),
    "gvt.build": ("create",),
    "gvt.config": (
        "DataConfig",
        "EvaluateConfig",
        "OptimizerConfig",
        "RunConfig",
        "TrainConfig",
        "compose",
    ),
    "gvt.data": ("Loader",),
    "gvt.device": ("Placement",),
    "gvt.errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "GvtError",
        "Interrupted",
        "NonFiniteError",
        "OutOfMemoryError",
        "UsageError",
    ),
    "gvt.evaluation": ("Evaluation", "evaluate"),
    "gvt.interfaces": (
        "Backbone",
        "Dataset",
        "Discriminator",
        "Generator",
        "Head",
        "Loss",
        "Metric",
        "Phase",
        "Step",
        "Task",
    ),
    "gvt.judging": ("evaluate_checkpoint",),
    "gvt.layers": ("Dropout",),
    "gvt.listener": ("Listener", "Run"),
    "gvt.metrics": ("StackedMetric",),
    "gvt.multihead": ("MultiHead",),
    "gvt.runs.display": ("Display",),
    "gvt.saved": ("load", "sample"),
    "gvt.seeding": ("random_source",),
    "gvt.trainer": ("Trainer",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["Component", "__version__", "register", *_HOME_OF]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gvt")
    if name == "register":
        from gvt_registry import default_registry

        return default_registry().register
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gvt' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
