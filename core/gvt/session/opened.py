"""From a checkpoint, a run or a recipe to a task that is ready to compute."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.document import read_header
from gvt.checkpoint.training import load_weights, under
from gvt.config.compose import compose, validate
from gvt.config.recorded import with_unrecorded
from gvt.config.schema import RunConfig
from gvt.data_info import DataInfo
from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.interfaces import Task
from gvt.printable import printable
from gvt.runs.folder import RunFolder
from gvt.seeding import seeded
from gvt.session.build import build_dataset, build_task, validate_components
from gvt.session.changeable import OPENING, Changeable
from gvt.session.finding import PathLike, find_checkpoint, is_recipe

PINNED = ("precision", "memory_format", "compile")
"""Settings that stay what `auto` once resolved to, since results depend on them."""


class Opened:
    """A trained task, and what there is to know about it; each part is built when first used.

    Attributes:
        config: The configuration, with the overrides.
        run: The run that the checkpoint belongs to, if any.
        checkpoint: The checkpoint's file; None for a recipe.
        origin: What the checkpoint says of itself; None for a recipe.
        is_averaged: Whether the weights are the moving average of those that were trained.
    """

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder | None = None,
        checkpoint: Path | None = None,
        origin: Mapping[str, Any] | None = None,
        *,
        is_averaged: bool = False,
    ) -> None:
        self.config = config
        self.run, self.checkpoint, self.origin = run, checkpoint, origin
        self.is_averaged = is_averaged

    @classmethod
    def of_checkpoint(cls, path: PathLike | None = None, *, averaged: bool = True) -> Opened:
        """Open a checkpoint as it was trained; no weights are read yet.

        Args:
            path: A run's folder, whose last checkpoint is opened, or a checkpoint; the latest run
                unless given.
            averaged: Take the moving average of the weights where there is one.

        Raises:
            UsageError: If a folder is not a run's.
            CheckpointError: If the file is missing or damaged.
        """
        run, checkpoint = find_checkpoint(path)
        header = read_header(checkpoint, of_run=True)
        is_averaged = averaged and any(name.startswith("ema/") for name in header.tensors)
        config = pinned(header.document)
        return cls(config, run, checkpoint, header.document, is_averaged=is_averaged)

    @cached_property
    def info(self) -> DataInfo:
        """What the networks know of their data; a recipe's training data is opened for it."""
        if self.origin is not None:
            return DataInfo.from_document(self.origin["data"])
        return DataInfo.of(build_dataset(self.config, "train"), self.config.data.range)

    @cached_property
    def placement(self) -> Placement:
        """Where and how to compute."""
        train = self.config.train
        return Placement.resolve(
            self.config.device, train.precision, train.memory_format, train.compile
        )

    @cached_property
    def task(self) -> Task:
        """The task on its device, in eval mode; what `load` raises is raised when first used."""
        task = self.load()
        self.placement.place(task)
        return task.eval()

    def load(self) -> Task:
        """Build the task with its weights, on the CPU.

        Raises:
            UsageError: If the networks of a recipe are not all given weights.
            CheckpointError: If the checkpoint is damaged, or of another model than is built.
        """
        if self.checkpoint is None:
            return self._with_weights_of_its_own()
        document, tensors = checkpoint_file.load(self.checkpoint, of_run=True)
        document["config"] = with_unrecorded(document["config"])
        self.origin = document
        config = validate(document["config"], str(self.checkpoint), keep=document["config"])
        task = build_task(config, self.info, document["components"])
        averages = under("ema/", tensors) if self.is_averaged else {}
        load_weights(task, under("task/", tensors) | averages)
        task.origin = document
        return task

    def _with_weights_of_its_own(self) -> Task:
        if self.config.init_from is not None:
            raise UsageError(
                f"init_from: is where a training begins; name {self.config.init_from} in the "
                "recipe's place"
            )
        task, other = (self._drawn(seed) for seed in (0, 1))
        others = other.state_dict()
        for name, values in task.state_dict().items():
            if not torch.equal(values, others[name]):
                raise UsageError(
                    f"{self.config.recipe}: its networks are not trained, {name} is drawn at "
                    "random; name a run or a checkpoint, or a recipe whose networks are given "
                    "weights"
                )
        return task

    def _drawn(self, seed: int) -> Task:
        with seeded(seed):
            return build_task(self.config, self.info)


def open(
    of: PathLike | None = None,
    *overrides: str,
    changeable: Collection[str] | None = None,
    averaged: bool = True,
) -> Opened:
    """Open a checkpoint, a run, or a recipe whose networks are given weights.

    Overrides and components are checked at once. Data and weights are read when they are first
    used: a tool that asks for `config` alone needs neither.

    Args:
        of: A run's folder, whose last checkpoint is opened, a checkpoint, a recipe's name or the
            path of a YAML file; the latest run unless given.
        overrides: Such as `data.root=...` or `device=cpu`; of a recipe any.
        changeable: The sections that overrides of a checkpoint may change; unless given, all but
            those that made the networks what they are.
        averaged: Take the moving average of a checkpoint's weights where there is one.

    Raises:
        UsageError: If there is nothing of that name, or an override is wrong or changes a section
            that it may not.
        CheckpointError: If the checkpoint is damaged.
    """
    if of is not None and is_recipe(of):
        config = compose(of, overrides)
        validate_components(config)
        return Opened(config)
    if of is not None and not Path(of).exists():
        raise UsageError(f"{printable(of)}: there is no such run or checkpoint")
    return open_checkpoint(of, *overrides, changeable=changeable, averaged=averaged)


def open_checkpoint(
    path: PathLike | None = None,
    *overrides: str,
    changeable: Collection[str] | None = None,
    averaged: bool = True,
) -> Opened:
    """Do what `open` does, for a checkpoint or a run alone."""
    opened = Opened.of_checkpoint(path, averaged=averaged)
    assert opened.origin is not None
    opened.config = _overridden(opened.config, overrides, changeable)
    validate_components(opened.config, opened.origin["components"])
    return opened


def pinned(document: Mapping[str, Any]) -> RunConfig:
    """Return a checkpoint's configuration, with what results depend on as it was resolved.

    Sections of plugins that are absent are kept as they stand.
    """
    config = with_unrecorded(document["config"])
    resolved = document["resolved"]["train"]
    config["train"] = {**config["train"], **{name: resolved[name] for name in PINNED}}
    return validate(config, "the checkpoint", keep=config)


def _overridden(
    before: RunConfig, overrides: Sequence[str], changeable: Collection[str] | None
) -> RunConfig:
    """Return a checkpoint's configuration with overrides.

    Raises:
        UsageError: If one changes a section that it may not.
    """
    config = compose(before, overrides)
    may_change, instead = OPENING, "leave it out"
    if changeable is not None:
        fixed = [name for name in type(config).model_fields if name not in changeable]
        may_change, instead = Changeable((*fixed,)), f"only {' and '.join(changeable)} can be set"
    if changed := may_change.wrongly_changed(before, config):
        raise UsageError(
            f"{changed}: the networks are those of the checkpoint, trained as they were; {instead}"
        )
    return config
