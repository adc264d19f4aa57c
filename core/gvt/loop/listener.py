"""Who follows a run: the display, the run folder, the plugins' hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gvt.errors import HookError
from gvt.interfaces import Task
from gvt.loop.evaluation import Evaluation
from gvt_registry import GvtError, Plugins
from gvt_registry.plugins import RUN_HOOKS

if TYPE_CHECKING:
    from gvt.config import RunConfig

Rows = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(eq=False)
class Run:
    """A run, under way or ended.

    Attributes:
        task: What is learned; its networks are attributes of it, with the weights as trained.
        total_steps: The step at which it is complete, unless it stops early.
        steps_per_epoch: Steps of one pass over the data.
        samples_per_step: Samples of one step, over all processes.
        step: Steps done.
        metrics: The last losses as `train/...`, the last evaluations as `<split>/...`
            (`train_eval/...` of the training split).
        learning_rates: The rate of each optimiser's next step.
        best: Value and step of the best checkpoint so far.
        checkpoint: The last checkpoint, once there is one.
        folder: The run's folder; None for a run in code that has none.
        resume_command: What goes on with it, once it has stopped.
        config: The resolved configuration; None for a run in code that has none.
        outcome: `running`, `success`, `failure` or `interrupt`.
        stop_reason: Why it is to stop after this step, saved; a listener may set it.
        stopped_early: Why it is complete before all its steps; empty otherwise.
    """

    task: Task
    total_steps: int
    steps_per_epoch: int
    samples_per_step: int
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    learning_rates: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] | None = None
    checkpoint: Path | None = None
    folder: Path | None = None
    resume_command: str = ""
    config: RunConfig | None = None
    outcome: str = "running"
    stop_reason: GvtError | None = None
    stopped_early: str = ""

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def is_complete(self) -> bool:
        """Whether there is no further step."""
        return self.step >= self.total_steps or bool(self.stopped_early)


class Listener:
    """Follows a run; override what is wanted. An exception here stops the run."""

    def run_started(self, run: Run) -> None:
        """Everything is built; the first step comes next."""

    def step_ended(self, run: Run, losses: Mapping[str, Tensor]) -> None:
        """A step is done; its losses are still on the device."""

    def losses_read(self, run: Run, rows: Rows) -> None:
        """The losses of all steps since the last time were fetched, and are finite."""

    def epoch_ended(self, run: Run) -> None:
        """The last step of an epoch is done."""

    def evaluated(self, run: Run, split: str, found: Evaluation) -> None:
        """A held-out split was evaluated."""

    def pictures_drawn(self, run: Run, pictures: Mapping[str, Tensor]) -> None:
        """The task drew pictures in [0, 1]: (N, C, H, W) or (rows, columns, C, H, W) each."""

    def checkpoint_saved(self, run: Run, path: Path) -> None:
        """A checkpoint stands on disk."""

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Nothing more comes; `run.outcome` says how it went."""


class PluginHooks(Listener):
    """Passes a run's events on to the plugins' hooks.

    One that raises is reported, and not called again in this run; with `stop` it also ends the
    run: after the step and saved, as Ctrl-C does, or with an error once the run is complete.

    Args:
        plugins: The plugins; those that follow the run are the ones that are there now.
        report: Called with a line about a hook that raised.
        stop: Whether a hook that raises ends the run.
    """

    def __init__(
        self, plugins: Plugins, report: Callable[[str], object], *, stop: bool = False
    ) -> None:
        self._report, self._stops = report, stop
        self._listening = {hook: plugins.implementations(hook) for hook in RUN_HOOKS}

    def run_started(self, run: Run) -> None:
        """Call `gvt_run_started`."""
        self._call("gvt_run_started", run)

    def step_ended(self, run: Run, losses: Mapping[str, Tensor]) -> None:
        """Call `gvt_step_ended`."""
        self._call("gvt_step_ended", run, step=run.step, losses=losses)

    def losses_read(self, run: Run, rows: Rows) -> None:
        """Call `gvt_losses_read`."""
        self._call("gvt_losses_read", run, rows=rows)

    def epoch_ended(self, run: Run) -> None:
        """Call `gvt_epoch_ended`."""
        self._call("gvt_epoch_ended", run, epoch=run.epoch)

    def evaluated(self, run: Run, split: str, found: Evaluation) -> None:
        """Call `gvt_evaluated`."""
        metrics = found.metrics
        self._call("gvt_evaluated", run, step=run.step, split=split, metrics=metrics, found=found)

    def pictures_drawn(self, run: Run, pictures: Mapping[str, Tensor]) -> None:
        """Call `gvt_pictures_drawn`."""
        self._call("gvt_pictures_drawn", run, step=run.step, pictures=pictures)

    def checkpoint_saved(self, run: Run, path: Path) -> None:
        """Call `gvt_checkpoint_saved`."""
        self._call("gvt_checkpoint_saved", run, path=path)

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Call `gvt_run_ended`.

        Raises:
            HookError: If a hook was to end a run that is complete all the same.
        """
        self._call("gvt_run_ended", run, outcome=run.outcome, error=error)
        reason = run.stop_reason
        if isinstance(reason, HookError) and run.outcome == "success":
            raise HookError(f"{reason}; the run is complete", details=reason.details) from reason

    def _call(self, hook: str, run: Run, **arguments: Any) -> None:
        for listening in tuple(self._listening[hook]):
            plugin, function = listening
            try:
                function(run=run, **arguments)
            except (Exception, SystemExit) as error:
                self._listening[hook].remove(listening)
                run.task.train()  # the hook may have been about to put this back
                self._failed(run, f"plugin {plugin.name!r} ({plugin.origin}): {hook}", error)

    def _failed(self, run: Run, who: str, error: BaseException) -> None:
        what = f"{who} raised {type(error).__name__}: {' '.join(str(error).split())}"
        if not self._stops:
            self._report(f"{what}; it is switched off for this run")
            return
        self._report(f"{what}; the run stops, since run.hook_errors is stop")
        if run.stop_reason is None:
            run.stop_reason = HookError(what, details="".join(format_exception(error)))
            run.stop_reason.__cause__ = error
