"""A trainer's state as tensors by readable name and plain data, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gvt.atomic import make_folder, remove_unfinished
from gvt.checkpoint import file
from gvt.checkpoint.bounded import shortened
from gvt.checkpoint.document import read_header
from gvt.errors import CheckpointError, ConfigError
from gvt.loop.losses import check_weights, has_finite_losses

if TYPE_CHECKING:
    from gvt.loop.trainer import Trainer

State = tuple[dict[str, Any], dict[str, Tensor]]
"""A document and tensors, as a checkpoint holds them."""

LAST = "last.safetensors"
"""What the newest checkpoint of a run is called."""


def capture(trainer: Trainer) -> State:
    """Return everything that resuming needs.

    Tensors are called `task/...`, `ema/...` and `optimizer/<key>/<parameter>/<field>`. There are
    no random states among them: every draw is a function of the seed and of its place.

    Raises:
        NonFiniteError: If something in it is not finite.
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
        f"{group}/{n}": places
        for group in ("task", "ema")
        for n, places in trainer.infinite.items()
    }
    check_weights(run.step, tensors, infinite)
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


def restore(trainer: Trainer, state: State) -> None:
    """Copy a state into place, so that the loop goes on where it was taken.

    Raises:
        CheckpointError: If it is the state of another task, or of other optimisers.
        ConfigError: If it is beyond the end of the run.
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
        _check_fit(trainer.ema.tensors, averages, "the averages")
        trainer.ema.load(averages)
    for key, optimizer in trainer.optimizers.items():
        prefix = f"optimizer/{key}/"
        values = under(prefix, training["optimizer_values"])
        fields = under(prefix, tensors)
        for name in (*fields, *values):
            if name.rpartition("/")[0] not in optimizer.parameters:
                raise CheckpointError(
                    f"the state of optimizers.{key} is of another model: {shortened(name)} is not "
                    "part of it"
                )
        optimizer.load_state(fields, values)
        optimizer.advance(training["step"])
        if key in training["scalers"]:
            optimizer.scaler.load_state_dict(training["scalers"][key])
    run.step, run.metrics = training["step"], dict(training["metrics"])
    best = training["best"]  # older versions took an infinite value for one
    run.best = best if best is not None and math.isfinite(best["value"]) else None


def load_weights(module: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a module in place.

    Raises:
        CheckpointError: If a name or a shape differs; says which, and how many.
    """
    _check_fit(module.state_dict(), tensors, "the weights")
    module.load_state_dict(tensors)


def _check_fit(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that tensors have the names and shapes of those that they are copied into.

    Raises:
        CheckpointError: If they have not.
    """
    problems = [f"{n} is missing" for n in own if n not in tensors]
    problems += [f"{_cut(n)} is not part of it" for n in tensors if n not in own]
    problems += [
        f"{n} is {tuple(tensors[n].shape)}, it takes {tuple(t.shape)}"
        for n, t in own.items()
        if n in tensors and tensors[n].shape != t.shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CheckpointError(f"{what} are of another model: {problems[0]}{more}")


def _cut(name: str) -> str:
    """Return a name from a file as a message repeats it: as it is, unless it is strange."""
    shown = shortened(name)
    return name if shown == f"'{name}'" else shown


def under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is named under a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}


class CheckpointFolder:
    """The checkpoints of a run: the last, the best, and numbered ones if they are kept.

    Args:
        folder: Where they are.
        keep: How many numbered ones to keep.
        document: What each says besides the training state.
    """

    def __init__(self, folder: Path, keep: int = 0, document: Mapping[str, Any] = {}) -> None:
        self.folder, self._keep, self._document = folder, keep, document

    @property
    def last(self) -> Path:
        """The newest checkpoint, once there is one."""
        return self.folder / LAST

    def save(self, state: State, is_best: bool) -> Path:
        """Write the newest checkpoint, and copies of it.

        Raises:
            CheckpointError: If it cannot be written; the previous one is still there then.
        """
        document, tensors = state
        step = document["training"]["step"]
        try:
            make_folder(self.folder)
            remove_unfinished(self.folder)
        except OSError as error:
            raise CheckpointError(
                f"{error.filename or self.folder}: cannot be written: {error.strerror}"
            ) from error
        numbered = self.folder / f"step_{step:08d}.safetensors"
        # `last` comes last: it says which is the best, and that has to stand already.
        paths = [self.folder / "best.safetensors"] if is_best else []
        paths += [numbered, self.last] if self._keep else [self.last]
        file.save(paths[0], tensors, {**self._document, **document})
        for path in paths[1:]:
            file.copy(paths[0], path)
        self._prune(numbered)
        return self.last

    def sound(self) -> Path | None:
        """Return the newest checkpoint that a run can go on from; None if there is none.

        Its weights are finite, or it would not have been saved. Those of a run whose held-out
        losses were not finite by then are passed over.
        """
        steps: dict[Path, int] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                training = read_header(path).document.get("training")
            except CheckpointError:  # a damaged one is none that a run can go on from
                continue
            if training is not None and has_finite_losses(training["metrics"]):
                steps[path] = training["step"]
        return max(steps, key=lambda path: (steps[path], path == self.last), default=None)

    def _prune(self, newest: Path) -> None:
        """Delete numbered checkpoints: old ones, and those of a future that a resumed run left."""
        found = sorted(self.folder.glob("step_*.safetensors"))
        if self._keep:
            past = [path for path in found if path <= newest]
            for path in {*found} - {*past[-self._keep :]}:
                path.unlink()
