"""Conversion between a trainer and its state of named tensors and plain data."""

from __future__ import annotations

import math
from typing import Any, Protocol

from torch import Tensor

from gvt.checkpoint.bounded import shortened
from gvt.checkpoint.training import State, check_fit, load_weights, under
from gvt.device.processes import World
from gvt.device.sharding import local
from gvt.errors import CheckpointError, ConfigError
from gvt.finite import infinite_weights, raise_earliest
from gvt.loop.ema import Ema
from gvt.loop.listener import Run
from gvt.loop.optim import Optimizer
from gvt.task import Task


class TrainerState(Protocol):
    """The part of a trainer that a checkpoint holds.

    Attributes:
        run: The run.
        task: The task.
        optimizers: The optimisers by name.
        ema: The moving average of the weights, or None.
        world: The processes of the run.
        infinite: Masks of the buffer elements that were infinite before training, by name.
    """

    run: Run
    task: Task
    optimizers: dict[str, Optimizer]
    ema: Ema | None
    world: World
    infinite: dict[str, Tensor]


def capture(trainer: TrainerState) -> State:
    """Return the state that resuming needs; all processes call it.

    Sharded tensors are not gathered here, but one by one when they are saved.
    Tensors are named `task/...`, `ema/...` and `optimizer/<key>/<parameter>/<field>`. No random
    states are included: every draw is a function of the seed and its place.

    Raises:
        NonFiniteError: If a tensor is not finite.
    """
    run, task = trainer.run, trainer.task
    tensors = {f"task/{n}": t for n, t in task.state_dict().items()}
    if trainer.ema is not None:
        tensors |= {f"ema/{n}": t for n, t in trainer.ema.tensors.items()}
    values: dict[str, Any] = {}
    scalers: dict[str, Any] = {}
    for key, optimizer in trainer.optimizers.items():
        state_tensors, state_values = optimizer.state()
        tensors |= {f"optimizer/{key}/{n}": t for n, t in state_tensors.items()}
        values |= {f"optimizer/{key}/{n}": v for n, v in state_values.items()}
        if optimizer.scaler.is_enabled():
            scalers[key] = optimizer.scaler.state_dict()
    infinite = {
        f"{group}/{n}": mask for group in ("task", "ema") for n, mask in trainer.infinite.items()
    }
    parts = {n: local(t) for n, t in tensors.items()}
    raise_earliest(trainer.world.gather(infinite_weights(run.step, parts, infinite)))
    training = {
        "step": run.step,
        "epoch": run.epoch,
        "position": run.step % run.steps_per_epoch,
        "metrics": run.metrics,
        "best": run.best,
        "optimizer_values": values,
        "scalers": scalers,
    }
    return {"training": training}, tensors


def restore(trainer: TrainerState, state: State) -> None:
    """Load a state into a trainer; training continues from there.

    Raises:
        CheckpointError: If the state belongs to another task or to other optimisers.
        ConfigError: If its step is beyond the end of the run.
    """
    document, tensors = state
    run, training = trainer.run, document["training"]
    if training["step"] > run.total_steps:
        raise ConfigError(
            f"train.steps: the run is at step {training['step']} already, beyond {run.total_steps}"
        )
    load_weights(trainer.task, under("task/", tensors))
    if trainer.ema is not None:
        averages = under("ema/", tensors)
        check_fit(trainer.ema.tensors, averages, "the averages")
        trainer.ema.load(averages)
    for key, optimizer in trainer.optimizers.items():
        prefix = f"optimizer/{key}/"
        values = under(prefix, training["optimizer_values"])
        fields = under(prefix, tensors)
        for name in (*fields, *values):
            if name.rpartition("/")[0] not in optimizer.parameters:
                raise CheckpointError(
                    f"the state of optimizers.{key} belongs to another model: this one has no "
                    f"{shortened(name)}"
                )
        optimizer.load_state(fields, values)
        optimizer.advance(training["step"])
        if key in training["scalers"]:
            optimizer.scaler.load_state_dict(training["scalers"][key])
    run.step, run.metrics = training["step"], dict(training["metrics"])
    best = training["best"]  # older versions saved infinite values, too
    run.best = best if best is not None and math.isfinite(best["value"]) else None
