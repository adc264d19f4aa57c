"""A small run in code that calls the hooks of one plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gvt import (
    Batch,
    DataInfo,
    Loader,
    MultiHead,
    Phase,
    Prediction,
    Shown,
    Step,
    Task,
    Trainer,
    compose,
    seed_everything,
)
from gvt.checkpoint import CheckpointFolder
from gvt.loop import PluginHooks
from gvt_author.testing.stand_ins import Pictures, TinyBackbone, TinyHead, batch_of
from gvt_author.testing.trial import CPU, SHAPE
from gvt_registry import Plugin, Plugins, default_registry

RECIPE = {
    "recipe": "followed",
    "task": {"name": "heads"},
    "data": {"name": "pictures", "batch_size": 4, "resident": False},
    "optimizers": {"model": {"name": "Adam"}},
    "train": {"steps": 4, "log_every": 2, "checkpoint_every": 2, "pictures_every": 2},
    "evaluate": {"split": "val", "every": 2},
}
"""The configuration of the run."""


class _Drawing(Task):
    """A classifier that also draws noise, so that a run of it has every kind of event."""

    phases = (Phase("supervised", trains="model"),)

    def __init__(self) -> None:
        super().__init__()
        backbone = TinyBackbone(SHAPE)
        self.model = MultiHead(backbone, {"tiny": TinyHead(backbone.feature_info)})

    def forward(self, phase: str, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Return the losses of the classifier."""
        losses: dict[str, Tensor] = self.model(phase, batch, step)
        return losses

    def evaluate(
        self, batch: Batch, step: Step
    ) -> tuple[list[Prediction], dict[str, tuple[Tensor, int]]]:
        """Return the predictions and losses of the classifier."""
        return self.model.evaluate(batch, step)

    def pictures(self, seed: int, examples: Batch | None) -> dict[str, Tensor | Shown]:
        """Return a sheet of noise."""
        return {"noise": torch.rand(2, 2, *SHAPE, generator=torch.Generator().manual_seed(seed))}


class _Alone(Plugins):
    """The hooks of one of the installed plugins."""

    def __init__(self, plugin: Plugin) -> None:
        super().__init__(entry_points=False)
        self._plugin = plugin
        self.called = False

    def implementations(self, hook: str) -> list[tuple[Plugin, Callable[..., Any]]]:
        """Return the implementation of a hook by the plugin, if there is one."""
        pairs = default_registry().plugins.implementations(hook)
        pairs = [pair for pair in pairs if pair[0] is self._plugin]
        self.called |= bool(pairs)
        return pairs


def follow(plugin: Plugin, folder: Path) -> tuple[bool, list[str]]:
    """Run four steps, more than an epoch, and call the hooks of a plugin.

    Returns:
        Whether the plugin has hooks, and a line for each one that raised.
    """
    seed_everything(0)
    config = compose(RECIPE)  # with the defaults of every plugin's section
    data = Pictures(SHAPE)
    trainer = Trainer(
        _Drawing(),
        Loader(data, config.data, config.train, CPU),
        config.optimizers,
        config.train,
        CPU,
        evaluation=config.evaluate,
        open_split=lambda split: [batch_of(data, CPU)],
        checkpoints=CheckpointFolder(folder / "checkpoints"),
    )
    trainer.run.folder, trainer.run.config, trainer.run.info = folder, config, DataInfo.of(data)
    problems: list[str] = []
    alone = _Alone(plugin)
    trainer.listeners = [PluginHooks(alone, problems.append)]
    trainer.fit()
    return alone.called, problems
