"""What a saved run is still good for: its networks, an evaluation, new pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gvt.build import NETWORKS, DataFacts, build_task, open_dataset, validate_components
from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import State, load_weights, under
from gvt.config import RunConfig, compose
from gvt.config.compose import validate
from gvt.device import (
    Placement,
    deterministic_algorithms,
    explained_memory,
    keep_freed_memory,
)
from gvt.errors import ConfigError, UsageError
from gvt.evaluation import Evaluation, evaluate
from gvt.interfaces import Task
from gvt.runs.folder import RunFolder

PathLike = str | os.PathLike[str]

PINNED = ("precision", "memory_format", "compile")
"""Settings that stay what `auto` once resolved to, since results depend on them."""


def load(checkpoint: PathLike, *, averaged: bool = True, device: str = "cpu") -> Task:
    """Return the task of a checkpoint, in eval mode.

    Args:
        checkpoint: The file, or a run's folder, whose last one is taken.
        averaged: Take the moving average of the weights where there is one.
        device: Where to put it.

    Raises:
        CheckpointError: If the file is damaged, or of another model than its components build.
        UnknownComponent: If the plugin that it was trained with is not installed.
    """
    _, path = find_checkpoint(checkpoint)
    task = _task_of(checkpoint_file.load(path), path, averaged)
    return task.to(Placement.resolve(device).device).eval()


def evaluate_checkpoint(
    checkpoint: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    averaged: bool = True,
) -> Evaluation:
    """Evaluate a checkpoint as its run did, with the same figures to the last digit.

    What is found also goes into the run's `evaluation/` and its report, if it stands in one.

    Args:
        checkpoint: The file, or a run's folder, whose last one is taken; the latest run's unless
            given.
        overrides: Such as `data.root=...`, `evaluate.batch_size=100` or `device=cpu`.
        split: What is evaluated; the recipe's `evaluate.final`, else `evaluate.split`.
        averaged: Take the moving average of the weights where there is one.

    Raises:
        UsageError: If there is nothing to evaluate, or the split is unknown.
        ConfigError: If the data has other classes than the networks were trained for, or the
            task cannot be evaluated.
        CheckpointError: If the file is damaged.
        DataError: If the data is absent or unreadable.
    """
    folder, path = find_checkpoint(checkpoint)
    state = checkpoint_file.load(path)
    before = pinned(state[0])
    config = compose(before, overrides)
    for section in ("task", *NETWORKS, "heads"):
        if getattr(config, section) != getattr(compose(before), section):
            raise UsageError(f"{section}: the networks are those of the checkpoint; leave it out")
    split = split or config.evaluate.final or config.evaluate.split
    if split is None:
        raise UsageError(f"{config.recipe} evaluates no split of its own; name one: --split test")
    final = config.evaluate.model_copy(update={"final": split})
    config = config.model_copy(update={"evaluate": final})
    validate_components(config, state[0]["components"])
    found = _evaluated(config, split, _task_of(state, path, averaged), state[0]["data"])
    if folder is not None:
        # Here, as is torchvision below, since `load` needs neither and each takes its time.
        from gvt.runs.evaluations import save_evaluation
        from gvt.runs.report import write_report

        classes, step = state[0]["data"]["classes"], state[0]["training"]["step"]
        save_evaluation(folder.evaluations, split, step, found, classes)
        write_report([folder], folder.report)
    return found


def sample(
    checkpoint: PathLike | None = None,
    count: int = 64,
    seed: int = 0,
    *,
    averaged: bool = True,
    device: str = "auto",
) -> Tensor:
    """Return new pictures of a generative task, (N, C, H, W) float32 in [0, 1], on the CPU.

    Args:
        checkpoint: The file, or a run's folder, whose last one is taken; the latest run's unless
            given.
        count: How many; picture i of a seed is the same one whatever the count.
        seed: Where their latents come from.
        averaged: Take the moving average of the weights where there is one.
        device: Where to compute.

    Raises:
        UsageError: If the task makes no pictures.
        CheckpointError: If the file is damaged.
    """
    _, path = find_checkpoint(checkpoint)
    task = load(path, averaged=averaged, device=device)
    try:
        with torch.no_grad():
            return task.sample(count, seed).cpu()
    except NotImplementedError as error:
        raise UsageError(f"{path}: {error}; sampling is for tasks that generate") from error


def find_checkpoint(path: PathLike | None) -> tuple[RunFolder | None, Path]:
    """Return a checkpoint, and the folder of its run if it stands in one.

    Raises:
        UsageError: If a folder is no run's, or has no checkpoint yet.
    """
    if path is not None and not Path(path).is_dir():
        folder = RunFolder(Path(path).absolute().parent.parent)
        return folder if folder.config.is_file() else None, Path(path)
    folder = RunFolder.latest(Path("runs")) if path is None else RunFolder(Path(path))
    last = folder.checkpoints / "last.safetensors"
    if not last.is_file():
        raise UsageError(f"{str(folder.path)!r} is no run's folder, or has no checkpoint yet")
    return folder, last


def pinned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's configuration, with what results depend on as it was resolved."""
    config: dict[str, Any] = dict(document["config"])
    resolved = document["resolved"]["train"]
    config["train"] = {**config["train"], **{name: resolved[name] for name in PINNED}}
    return config


def _task_of(state: State, path: Path, averaged: bool) -> Task:
    document, tensors = state
    config = validate(document["config"], str(path))
    task = build_task(config, DataFacts.from_document(document["data"]), document["components"])
    load_weights(task, under("task/", tensors) | (under("ema/", tensors) if averaged else {}))
    return task


def _evaluated(config: RunConfig, split: str, task: Task, facts: Mapping[str, Any]) -> Evaluation:
    from gvt.data.loading import HeldOut, resolved

    train, batch_size = config.train, config.evaluate.batch_size or config.data.batch_size
    placement = Placement.resolve(
        config.device, train.precision, train.memory_format, train.compile
    )
    dataset = open_dataset(config, split)
    classes = [str(name) for name in dataset.classes]
    if classes != list(facts["classes"]):
        raise ConfigError(
            f"data: its classes are {', '.join(classes) or 'none'}, but the networks were trained "
            f"for {', '.join(facts['classes']) or 'none'}"
        )
    with (
        explained_memory(placement, batch_size, 1),
        placement.autocast(),
        deterministic_algorithms(train.deterministic),
    ):
        keep_freed_memory(placement.device)
        placement.place(task)
        held_out = HeldOut(dataset, resolved(dataset, config.data, placement), placement)
        try:
            return evaluate(task, held_out.batches(batch_size))
        except NotImplementedError as error:
            raise ConfigError(f"{config.recipe}: {error}, so it cannot be evaluated") from error
