"""Who follows a run: the display, the run folder, the plugins' hooks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from gvt.errors import HookError, UsageError
from gvt.interfaces import Task
from gvt_registry import GvtError, Plugins, hookspecs
from gvt_registry.plugins import RUN_HOOKS

if TYPE_CHECKING:
    from gvt.batch import Batch
    from gvt.config import RunConfig
    from gvt.data.facts import DataFacts
    from gvt.data.loading import Loader

P = ParamSpec("P")
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
        info: What the data says of itself, such as its `classes`; None for a run in code.
        loader: What feeds it, while it is under way.
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
    info: DataFacts | None = None
    loader: Loader | None = field(default=None, repr=False)

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def is_complete(self) -> bool:
        """Whether there is no further step."""
        return self.step >= self.total_steps or bool(self.stopped_early)

    def examples(self, count: int) -> Batch:
        """Return the first training samples as the networks see them, augmented, with targets.

        Args:
            count: How many; fewer if there are not as many.

        Raises:
            UsageError: If the run has ended, since its data is then closed.
        """
        if self.loader is None:
            raise UsageError("examples of a run are there only while it is under way")
        return self.loader.first(count)


@dataclass(frozen=True)
class Event:
    """Something that happened in a run.

    Attributes:
        hook: The name of its hook in `gvt_registry.hookspecs`.
        run: The run.
        arguments: All arguments of the hook by name, the run among them.
    """

    hook: str
    run: Run
    arguments: Mapping[str, Any]

    @classmethod
    def of(
        cls, hook: Callable[Concatenate[Run, P], None], run: Run, *values: P.args, **named: P.kwargs
    ) -> Event:
        """Return an event with the values of its hook's arguments."""
        bound = _signature(hook).bind(run, *values, **named)
        return cls(getattr(hook, "__name__", ""), run, bound.arguments)


_signature = cache(signature)


class Listener:
    """Follows a run. An exception in a listener stops the run.

    The events are the hooks of `gvt_registry.hookspecs` that have the argument `run`. A listener
    has a method for each one that it follows, named like the hook without `gvt_`, with those of
    its arguments that it needs: `def losses_read(self, run, rows)`.
    """

    def hear(self, event: Event) -> None:
        """Call the method for an event, if there is one."""
        name = event.hook.removeprefix("gvt_")
        method = getattr(type(self), name, None)
        if method is not None:
            _, *needed = _signature(method).parameters
            getattr(self, name)(**{argument: event.arguments[argument] for argument in needed})


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

    def hear(self, event: Event) -> None:
        """Call the event's hook of all plugins.

        Raises:
            HookError: If a hook was to end a run that is complete all the same.
        """
        hook, run = event.hook, event.run
        is_end = hook == hookspecs.gvt_run_ended.__name__
        for listening in tuple(self._listening[hook]):
            plugin, function = listening
            try:
                with unless_asked_again() if is_end else nullcontext():
                    function(**event.arguments)
            except (Exception, SystemExit) as error:
                self._listening[hook].remove(listening)
                run.task.train()  # the hook may have been about to put this back
                self._failed(run, f"plugin {plugin.name!r} ({plugin.origin}): {hook}", error)
        reason = run.stop_reason
        if is_end and isinstance(reason, HookError) and run.outcome == "success":
            raise HookError(f"{reason}; the run is complete", details=reason.details) from reason

    def _failed(self, run: Run, who: str, error: BaseException) -> None:
        what = f"{who} raised {type(error).__name__}: {' '.join(str(error).split())}"
        if not self._stops:
            self._report(f"{what}; it is switched off for this run")
            return
        self._report(f"{what}; the run stops, since run.hook_errors is stop")
        if run.stop_reason is None:
            run.stop_reason = HookError(what, details="".join(format_exception(error)))
            run.stop_reason.__cause__ = error


@contextmanager
def unless_asked_again() -> Iterator[None]:
    """Leave the rest out, inside, with a warning, if somebody asks once more to stop."""
    try:
        yield
    except KeyboardInterrupt:
        warnings.warn(
            "asked once more to stop: what was not yet written about the run is left out",
            stacklevel=3,
        )
