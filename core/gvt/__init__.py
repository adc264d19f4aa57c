"""gvt: generative and discriminative vision, from plugins.

    run = gvt.run("gan.mnist", "train.steps=200")
    task = gvt.load(run.checkpoint)

Names are imported when they are first used (PEP 562), so that `import gvt` costs nothing. Type
checkers find them in `__init__.pyi`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

_HOMES = {
    "gvt.batch": "Batch Frame Record Sample Targets",
    "gvt.config": (
        "DataConfig EvaluateConfig OptimizerConfig PathText RunConfig Section TrainConfig compose"
    ),
    "gvt.config.parameters": "PassedTo",
    "gvt.config.pretrained": "restoring",
    "gvt.data": "Loader",
    "gvt.device.placement": "Placement",
    "gvt.errors": (
        "CheckpointError ConfigError DataError GvtError HookError Interrupted NonFiniteError "
        "OutOfMemoryError ProcessError RunInUseError UsageError"
    ),
    "gvt.heads.metrics": "StackedMetric",
    "gvt.heads.multihead": "MultiHead",
    "gvt.heads.vocabulary": "Vocabulary",
    "gvt.interfaces": (
        "Backbone Curves Dataset Discriminator Generator Head Loss Metric Phase Step Task "
        "TrainingLoop"
    ),
    "gvt.loop.evaluation": "Evaluation evaluate",
    "gvt.loop.listener": "Listener Run",
    "gvt.loop.trainer": "Trainer",
    "gvt.runs.display": "Display",
    "gvt.seeding": "derive random_source",
    "gvt.session.additions": "add_head save",
    "gvt.session.api": "resume run",
    "gvt.session.build": "create",
    "gvt.session.judging": "evaluate_checkpoint",
    "gvt.session.opened": "Opened open",
    "gvt.session.saved": "load sample",
    "gvt.vision.layers": "Dropout",
    "gvt.vision.pictures.reader": "PictureReader",
    "gvt_registry": "Component",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

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
