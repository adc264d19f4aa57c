"""From a checkpoint, a run or a recipe to a task that is ready to compute."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
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
from gvt.printable import printable
from gvt.runs.folder import RunFolder
from gvt.seeding import seeded
from gvt.session.build import build_dataset, build_task, placement_of, validate_components
from gvt.session.changeable import OPENING, first_change
from gvt.session.finding import PathLike, find_checkpoint, is_recipe
from gvt.task import Task

PINNED = ("precision", "memory_format", "compile")
"""Settings whose `auto` keeps the value it resolved to in training, since results depend on it."""


@dataclass(eq=False, repr=False)
class Opened:
    """A trained task with its configuration and data; each part is built when first used.

    Attributes:
        config: The configuration, with the overrides.
        run: The run that the checkpoint belongs to, if any.
        checkpoint: File of the checkpoint; None for a recipe.
        origin: Document of the checkpoint; None for a recipe.
        is_averaged: Whether the weights are the moving average of the trained ones.
        built: The task that was built in code, if any.
    """

    config: RunConfig
    run: RunFolder | None = None
    checkpoint: Path | None = None
    origin: Mapping[str, Any] | None = None
    is_averaged: bool = field(default=False, kw_only=True)
    built: Task | None = field(default=None, kw_only=True)

    @classmethod
    def of_checkpoint(cls, path: PathLike | None = None, *, averaged: bool = True) -> Opened:
        """Open a checkpoint as it was trained, without reading its weights.

        Args:
            path: Path of a checkpoint, or of a run folder, for its last checkpoint; the latest run
                by default.
            averaged: Whether to use the moving average of the weights, if there is one.

        Raises:
            UsageError: If a folder is not a run folder.
            CheckpointError: If the file is missing or damaged.
        """
        run, checkpoint = find_checkpoint(path)
        header = read_header(checkpoint, of_run=True)
        is_averaged = averaged and any(name.startswith("ema/") for name in header.tensors)
        config = pinned(header.document)
        return cls(config, run, checkpoint, header.document, is_averaged=is_averaged)

    @cached_property
    def info(self) -> DataInfo:
        """Information about the data; for a recipe, its training data is opened."""
        if self.origin is not None:
            return DataInfo.from_document(self.origin["data"])
        return DataInfo.of(build_dataset(self.config, "train"), self.config.data.range)

    @cached_property
    def placement(self) -> Placement:
        """Where and how to compute."""
        return placement_of(self.config)

    @cached_property
    def task(self) -> Task:
        """The task on its device, in eval mode; errors of `load` are raised on first use."""
        task = self.load()
        self.placement.place(task)
        return task.eval()

    def load(self) -> Task:
        """Build the task with its weights, on the CPU.

        Raises:
            UsageError: If some networks of a recipe have no trained weights.
            CheckpointError: If the checkpoint is damaged, or its weights do not fit the model.
        """
        if self.checkpoint is None:
            return self._pretrained()
        document, tensors = checkpoint_file.load(self.checkpoint, of_run=True)
        document["config"] = with_unrecorded(document["config"])
        self.origin = document
        task = self.built
        if task is None:
            task = build_task(self.config, self.info, document["components"])
        averages = under("ema/", tensors) if self.is_averaged else {}
        load_weights(task, under("task/", tensors) | averages)
        task.origin = document
        return task

    def _pretrained(self) -> Task:
        """Build the task of a recipe, and check that none of its weights are random."""
        if self.config.init_from is not None:
            raise UsageError(
                f"init_from: is where a training begins; name {self.config.init_from} in the "
                "recipe's place"
            )
        task, other = (self._drawn(seed) for seed in (0, 1))
        weights = other.state_dict()
        for name, values in task.state_dict().items():
            if not torch.equal(values, weights[name]):
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
    of: PathLike | Opened | None = None,
    *overrides: str,
    changeable: Collection[str] | None = None,
    averaged: bool = True,
    task: Task | None = None,
) -> Opened:
    """Open a checkpoint, a run, or a recipe whose networks have trained weights.

    Overrides and components are checked at once. Data and weights are read on first use: a tool
    that uses only `config` needs neither.

    Args:
        of: Path of a checkpoint, or of a run folder, for its last checkpoint; name of a recipe, or
            path of a YAML file; the latest run by default. What is open already stays as it is.
        overrides: Overrides such as `data.root=...` or `device=cpu`; for a recipe, any.
        changeable: Sections that overrides of a checkpoint may change; by default all but those
            that determine the model and its training.
        averaged: Whether to use the moving average of a checkpoint's weights, if there is one.
        task: A task that was built in code, which gets the weights of the checkpoint. It is
            required if no recipe describes the task of the checkpoint.

    Raises:
        UsageError: If there is nothing of that name, or an override is wrong or changes a section
            that is fixed.
        CheckpointError: If the checkpoint is damaged.
    """
    if isinstance(of, Opened):
        if overrides or task is not None:
            what = overrides[0] if overrides else "task"
            raise UsageError(f"{what}: give it where the model is opened")
        return of
    if of is not None and task is None and is_recipe(of):
        validate_components(config := compose(of, overrides))
        return Opened(config)
    if of is not None and not Path(of).exists():
        raise UsageError(f"{printable(of)}: there is no such run or checkpoint")
    return open_checkpoint(of, *overrides, changeable=changeable, averaged=averaged, task=task)


def open_checkpoint(
    path: PathLike | None = None,
    *overrides: str,
    changeable: Collection[str] | None = None,
    averaged: bool = True,
    task: Task | None = None,
) -> Opened:
    """Open a checkpoint or a run as `open` does, but not a recipe."""
    opened = Opened.of_checkpoint(path, averaged=averaged)
    opened.built = task
    assert opened.origin is not None
    before, opened.config = opened.config, compose(opened.config, overrides)
    fixed: Iterable[str] = OPENING
    instead = "leave it out"
    if changeable is not None:
        fixed = [name for name in type(opened.config).model_fields if name not in changeable]
        instead = f"only {' and '.join(changeable)} can be set"
    if changed := first_change(fixed, before, opened.config):
        raise UsageError(
            f"{changed}: the networks are those of the checkpoint, trained as they were; {instead}"
        )
    components = opened.origin["components"]
    validate_components(opened.config, components, training=False, in_code=task is not None)
    return opened


def pinned(document: Mapping[str, Any]) -> RunConfig:
    """Return the configuration of a checkpoint, with the `PINNED` settings as resolved.

    Sections of plugins that are not installed are kept.
    """
    config = with_unrecorded(document["config"])
    resolved = document["resolved"]["train"]
    config["train"] = {**config["train"], **{name: resolved[name] for name in PINNED}}
    return validate(config, "the checkpoint", keep=config)
