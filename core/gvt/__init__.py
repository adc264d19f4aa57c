"""gvt: generative and discriminative vision, from plugins.

    run = gvt.run("gan.mnist", "train.steps=200")
    task = gvt.load(run.checkpoint)

Names are imported when they are first used (PEP 562), so that `import gvt` costs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvt.batch import (
        Batch as Batch,
    )
    from gvt.batch import (
        Frame as Frame,
    )
    from gvt.batch import (
        Record as Record,
    )
    from gvt.batch import (
        Sample as Sample,
    )
    from gvt.batch import (
        Targets as Targets,
    )
    from gvt.config import (
        DataConfig as DataConfig,
    )
    from gvt.config import (
        EvaluateConfig as EvaluateConfig,
    )
    from gvt.config import (
        OptimizerConfig as OptimizerConfig,
    )
    from gvt.config import (
        PathText as PathText,
    )
    from gvt.config import (
        RunConfig as RunConfig,
    )
    from gvt.config import (
        Section as Section,
    )
    from gvt.config import (
        TrainConfig as TrainConfig,
    )
    from gvt.config import (
        compose as compose,
    )
    from gvt.config.pretrained import restoring as restoring
    from gvt.data import Loader as Loader
    from gvt.device.placement import Placement as Placement
    from gvt.errors import (
        CheckpointError as CheckpointError,
    )
    from gvt.errors import (
        ConfigError as ConfigError,
    )
    from gvt.errors import (
        DataError as DataError,
    )
    from gvt.errors import (
        GvtError as GvtError,
    )
    from gvt.errors import (
        HookError as HookError,
    )
    from gvt.errors import (
        Interrupted as Interrupted,
    )
    from gvt.errors import (
        NonFiniteError as NonFiniteError,
    )
    from gvt.errors import (
        OutOfMemoryError as OutOfMemoryError,
    )
    from gvt.errors import (
        ProcessError as ProcessError,
    )
    from gvt.errors import (
        RunInUseError as RunInUseError,
    )
    from gvt.errors import (
        UsageError as UsageError,
    )
    from gvt.heads.metrics import StackedMetric as StackedMetric
    from gvt.heads.multihead import MultiHead as MultiHead
    from gvt.heads.vocabulary import Vocabulary as Vocabulary
    from gvt.interfaces import (
        Backbone as Backbone,
    )
    from gvt.interfaces import (
        Curves as Curves,
    )
    from gvt.interfaces import (
        Dataset as Dataset,
    )
    from gvt.interfaces import (
        Discriminator as Discriminator,
    )
    from gvt.interfaces import (
        Generator as Generator,
    )
    from gvt.interfaces import (
        Head as Head,
    )
    from gvt.interfaces import (
        Loss as Loss,
    )
    from gvt.interfaces import (
        Metric as Metric,
    )
    from gvt.interfaces import (
        Phase as Phase,
    )
    from gvt.interfaces import (
        Step as Step,
    )
    from gvt.interfaces import (
        Task as Task,
    )
    from gvt.loop.evaluation import Evaluation as Evaluation
    from gvt.loop.evaluation import evaluate as evaluate
    from gvt.loop.listener import Listener as Listener
    from gvt.loop.listener import Run as Run
    from gvt.loop.trainer import Trainer as Trainer
    from gvt.runs.display import Display as Display
    from gvt.seeding import derive as derive
    from gvt.seeding import random_source as random_source
    from gvt.session.additions import save as save
    from gvt.session.api import resume as resume
    from gvt.session.api import run as run
    from gvt.session.build import create as create
    from gvt.session.judging import evaluate_checkpoint as evaluate_checkpoint
    from gvt.session.opened import Opened as Opened
    from gvt.session.opened import open as open
    from gvt.session.saved import load as load
    from gvt.session.saved import sample as sample
    from gvt.vision.layers import Dropout as Dropout
    from gvt.vision.pictures.reader import PictureReader as PictureReader
    from gvt_registry import Component as Component

_HOMES = {
    "gvt.session.additions": ("save",),
    "gvt.session.api": ("run", "resume"),
    "gvt.batch": ("Batch", "Frame", "Record", "Sample", "Targets"),
    "gvt.session.build": ("create",),
    "gvt.config": (
        "DataConfig",
        "EvaluateConfig",
        "OptimizerConfig",
        "PathText",
        "RunConfig",
        "Section",
        "TrainConfig",
        "compose",
    ),
    "gvt.data": ("Loader",),
    "gvt.device.placement": ("Placement",),
    "gvt.errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "GvtError",
        "HookError",
        "Interrupted",
        "NonFiniteError",
        "OutOfMemoryError",
        "ProcessError",
        "RunInUseError",
        "UsageError",
    ),
    "gvt.loop.evaluation": ("Evaluation", "evaluate"),
    "gvt.interfaces": (
        "Backbone",
        "Curves",
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
    "gvt.session.judging": ("evaluate_checkpoint",),
    "gvt.vision.layers": ("Dropout",),
    "gvt.loop.listener": ("Listener", "Run"),
    "gvt.heads.metrics": ("StackedMetric",),
    "gvt.heads.multihead": ("MultiHead",),
    "gvt.vision.pictures.reader": ("PictureReader",),
    "gvt.config.pretrained": ("restoring",),
    "gvt.runs.display": ("Display",),
    "gvt.session.opened": ("Opened", "open"),
    "gvt.session.saved": ("load", "sample"),
    "gvt.seeding": ("derive", "random_source"),
    "gvt.loop.trainer": ("Trainer",),
    "gvt.heads.vocabulary": ("Vocabulary",),
    "gvt_registry": ("Component",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "register", *_HOME_OF]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("gvt")
    if name == "register":
        from gvt_registry import default_registry

        return default_registry().register
    if name not in _HOME_OF:
        return _of_plugin(name)
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def _of_plugin(name: str) -> Any:
    """Return what a plugin offers as `gvt.NAME`.

    Plugins are not imported for the names of submodules and of Python's own protocols, which
    `from gvt import ...` and `inspect` look for.

    Raises:
        AttributeError: If no plugin does; says which plugins cannot be used.
    """
    message = f"module 'gvt' has no attribute {name!r}"
    if name.startswith("_") or importlib.util.find_spec(f"gvt.{name}") is not None:
        raise AttributeError(message)
    from gvt_registry import default_registry

    registry = default_registry()
    target = registry.targets("gvt_names").get(name)
    if target is None:
        unavailable = registry.unavailable("gvt_names", name)
        raise AttributeError(f"{message}. {unavailable}" if unavailable else message)
    return target.load()


def __dir__() -> list[str]:
    from gvt_registry import default_registry

    return sorted({*globals(), *__all__, *default_registry().targets("gvt_names")})
