"""Train a component for a few steps, and record its losses and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gvt import (
    Batch,
    DataConfig,
    Loader,
    OptimizerConfig,
    Phase,
    Placement,
    Step,
    Task,
    TrainConfig,
    Trainer,
    seed_everything,
)
from gvt.checkpoint import CheckpointFolder
from gvt.checkpoint import load as load_checkpoint
from gvt.loop import evaluating, restore
from gvt_author.testing.check import Failed, Skipped
from gvt_author.testing.trial import CPU, Trial, leaves

STEPS = 10
"""Number of training steps; a checkpoint is also saved after half of them."""


def phases(
    task: Task, batch: Batch, placement: Placement = CPU
) -> Iterator[tuple[Phase, dict[str, Tensor]]]:
    """Run iterations like the trainer until every phase was due, without optimiser steps.

    Yields each phase and its losses, after the gradients of the losses are computed.

    Raises:
        Skipped: If the task overrides `training_step`.
    """
    if type(task).training_step is not Task.training_step:
        raise Skipped("it overrides training_step, so its phases do not determine what it trains")
    trainable = {n: p for n, p in task.named_parameters() if p.requires_grad}
    try:
        for index in range(max(phase.every for phase in task.phases)):
            step = Step(index, device=placement.device)
            for phase in (p for p in task.phases if p.is_due(index)):
                reached = tuple(f"{m}." for m in (*phase.trained, *phase.keeps_graph))
                for name, parameter in trainable.items():
                    parameter.requires_grad_(name.startswith(reached))
                task.zero_grad()
                with placement.autocast(phase.precision):
                    losses = task(phase.name, batch, step)
                if losses:
                    torch.stack(tuple(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
                yield phase, losses
    finally:
        for parameter in trainable.values():
            parameter.requires_grad_(True)


def check_finite(losses: Mapping[str, Tensor], when: str) -> None:
    """Check that no loss is infinite or NaN.

    Raises:
        Failed: If one is.
    """
    for name, loss in losses.items():
        if not torch.isfinite(loss):
            raise Failed(f"loss {name!r} is {loss.item()} {when}; losses have to be finite")


def observed(task: Task, batch: Batch) -> dict[str, Tensor]:
    """Return the losses and predictions in eval mode, by name; the same for the same state."""
    seed_everything(0)
    values: dict[str, Tensor] = {}
    was_training = task.training
    task.eval()
    for phase, losses in phases(task, batch):
        values |= {f"{phase.name}/{n}": v.detach().clone() for n, v in losses.items()}
    task.zero_grad()
    task.train(was_training)
    return values | {n: v.clone() for n, v in leaves(predictions(task, batch), "prediction")}


def in_mode(trial: Trial, batch: Batch, training: bool, seed: int = 0) -> dict[str, Tensor]:
    """Return the losses and predictions in one mode, by name; always the same for a seed.

    Batch norm, dropout and other layers that may depend on the mode are in eval mode in both.
    """
    seed_everything(seed)
    task = trial.task
    before = [(module, module.training) for module in task.modules()]
    for module, _ in before:
        is_layer = type(module).__module__.startswith("torch.nn.") or not any(module.children())
        module.training = training and (module is trial.component or not is_layer)
    values = {
        f"{phase.name}/{name}": loss.detach().clone()
        for phase, losses in phases(task, batch)
        for name, loss in losses.items()
    }
    task.zero_grad()
    with torch.no_grad():
        values |= dict(leaves(task.predict(batch), "prediction"))
    for module, mode in before:
        module.training = mode
    return values


def predictions(task: Task, batch: Batch) -> list[Any]:
    """Return the predictions of a task in eval mode; empty if it does not predict."""
    with evaluating(task):
        try:
            return task.predict(batch)
        except NotImplementedError:
            return []


ADAM = OptimizerConfig.model_validate({"name": "Adam", "lr": 1e-3})


def fitted(
    trial: Trial,
    folder: Path,
    start: Path | None = None,
    steps: int = STEPS,
    optimizer: OptimizerConfig = ADAM,
) -> Trainer:
    """Train a few steps, with Adam by default, optionally from a checkpoint.

    A checkpoint is saved in the folder after every fifth step.
    """
    train = TrainConfig(steps=steps, checkpoint_every=STEPS // 2, keep=2)
    data = DataConfig(name="pictures", batch_size=4, resident=False, workers=0)
    trainer = Trainer(
        trial.task,
        Loader(trial.pictures(), data, train, CPU),
        {phase.optimizer_key: optimizer for phase in trial.task.phases},
        train,
        CPU,
        checkpoints=CheckpointFolder(folder, 2),
    )
    if start is not None:
        restore(trainer, load_checkpoint(start))
    trainer.fit()
    return trainer


def different(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that are not bitwise equal; NaN equals NaN."""
    names = [n for n in (*one, *other) if n not in one or n not in other]
    both = [n for n in one if n in other]
    return names + [
        n
        for n in both
        if one[n].shape != other[n].shape
        or not torch.equal(one[n].nan_to_num(), other[n].nan_to_num())
    ]


def listed(names: list[str]) -> str:
    """Return the first few of several names."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
