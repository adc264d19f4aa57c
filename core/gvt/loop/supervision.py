"""Check that training data has the targets that a model learns from."""

from __future__ import annotations

import warnings
from collections.abc import Collection

from gvt.batch import Targets
from gvt.device.processes import World
from gvt.errors import DataError
from gvt.interfaces import Head
from gvt.loop.listener import Run
from gvt.task import Task


class Supervision:
    """The losses of the current epoch by step, and the targets of batches without any loss.

    Args:
        task: The task.
        world: The processes of the run.
    """

    def __init__(self, task: Task, world: World) -> None:
        self._task, self._world = task, world
        self._losses: dict[int, set[str]] = {}
        self._target_keys: set[str] = set()

    def note(self, step: int, losses: Collection[str], targets: Targets | None) -> None:
        """Record the names of a micro-batch's losses, and its targets if it has no loss."""
        self._losses.setdefault(step, set()).update(losses)
        if not losses and targets is not None:
            self._target_keys.update(targets.dense, targets.ragged)

    def check(self, run: Run) -> None:
        """Check an epoch, or a run shorter than an epoch; warn about heads without any loss.

        Raises:
            DataError: If there was no loss at all.
        """
        steps, self._losses = self._losses, {}
        is_epoch = len(steps) >= run.steps_per_epoch
        if not is_epoch and len(steps) < run.step:
            return  # the run was resumed within the epoch, or everything was frozen at first
        losses = set().union(*self._world.gather(set().union(*steps.values())))
        for message in self._task.untaught(losses) if is_epoch else ():
            warnings.warn(message, stacklevel=2)
        if not losses:
            raise DataError(f"no training sample has all targets to learn from: {self._reason()}")

    def _reason(self) -> str:
        needs = {key for m in self._task.modules() if isinstance(m, Head) for key in m.needs}
        if not needs:
            return "there is no loss"
        keys = ", ".join(sorted(self._target_keys)) or "none"
        return f"the heads need {', '.join(sorted(needs))}; targets of the data: {keys}"
