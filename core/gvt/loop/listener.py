"""The run, its events, and the listeners that follow them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from html import escape
from inspect import signature
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from urllib.parse import quote

from gvt.data_info import DataInfo
from gvt.errors import HookError, UsageError
from gvt.task import Task
from gvt_registry import GvtError, Plugins, hookspecs
from gvt_registry.plugins import RUN_HOOKS

if TYPE_CHECKING:
    from gvt.batch import Batch
    from gvt.config import RunConfig
    from gvt.data.loading import Loader

P = ParamSpec("P")
Rows = Sequence[tuple[int, Mapping[str, float]]]


@dataclass(eq=False, repr=False)
class Run:
    """A run, in progress or ended.

    Attributes:
        task: The task; its models are submodules of it, with the weights as trained.
        total_steps: Step at which the run is complete, unless it stops early.
        steps_per_epoch: Steps of one pass over the data.
        samples_per_step: Samples of one step, over all processes.
        step: Number of completed steps.
        metrics: The last losses as `train/...`, and the last evaluations as `<split>/...`
            (`train_eval/...` for the training split).
        learning_rates: Learning rate of the next step, by optimiser.
        best: Value and step of the best checkpoint so far.
        checkpoint: Path of the last checkpoint; None if there is none yet.
        folder: The run folder; None for a run in code without one.
        resume_command: Command that continues the run after it has stopped, a call in Python if it
            cannot be continued from the command line, or runs in a notebook.
        resume_with: Function that returns that command for a path of the run and for overrides;
            None for a run in code without a folder.
        config: The resolved configuration; None for a run in code without one.
        info: Information about the data, such as its `classes`; None for a run in code.
        loader: The training batches; None once the run has ended.
        outcome: `running`, `success`, `failure` or `interrupt`.
        stop_reason: Error that stops the run after this step, once it is saved. A listener may
            set it.
        stopped_early: Why the run is complete before its last step; empty otherwise.
        quiet: Whether nothing is to be shown, on a terminal or in a notebook.
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
    resume_with: Callable[..., str] | None = None
    config: RunConfig | None = None
    outcome: str = "running"
    stop_reason: GvtError | None = None
    stopped_early: str = ""
    info: DataInfo | None = None
    loader: Loader | None = None
    quiet: bool = False

    def __repr__(self) -> str:
        where = self.folder or "without a folder"
        return f"<Run {where}: {self.outcome} at step {self.step} of {self.total_steps}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the outcome, the pages of the folder, and the metrics."""
        pages = sorted(self.folder.glob("*.html")) if self.folder else []
        links = (f'<a href="{quote(str(p))}" target="_blank">{escape(p.name)}</a>' for p in pages)
        rows = (f"<tr><td>{escape(n)}</td><td>{v:.4g}</td></tr>" for n, v in self.metrics.items())
        return f"<p>{escape(repr(self))} {' '.join(links)}</p><table>{''.join(rows)}</table>"

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.step // self.steps_per_epoch

    @property
    def is_complete(self) -> bool:
        """Whether there is no further step."""
        return self.step >= self.total_steps or bool(self.stopped_early)

    def examples(self, count: int) -> Batch:
        """Return the first training samples as the model gets them, augmented, with targets.

        Args:
            count: Number of samples; there are fewer if the data has fewer.

        Raises:
            UsageError: If the run has ended, since its data is then closed.
        """
        if self.loader is None:
            raise UsageError("a run has examples only while it is in progress")
        return self.loader.first(count)


@dataclass(frozen=True)
class Event:
    """An event of a run.

    Attributes:
        hook: Name of its hook in `gvt_registry.hookspecs`.
        run: The run.
        arguments: All arguments of the hook by name, including the run.
    """

    hook: str
    run: Run
    arguments: Mapping[str, Any]

    @classmethod
    def of(
        cls, hook: Callable[Concatenate[Run, P], None], run: Run, *values: P.args, **named: P.kwargs
    ) -> Event:
        """Return the event for a hook, with the values of the hook's arguments."""
        bound = _signature(hook).bind(run, *values, **named)
        return cls(getattr(hook, "__name__", ""), run, bound.arguments)


_signature = cache(signature)


class Listener:
    """Base class of listeners, which follow a run. An exception in a listener stops the run.

    The events are the hooks of `gvt_registry.hookspecs` that have the argument `run`. A listener
    has a method for each event that it follows, named like the hook without `gvt_`. The method has
    those arguments of the hook that it needs: `def losses_read(self, run, rows)`.
    """

    def hear(self, event: Event) -> None:
        """Call the method for an event, if there is one."""
        method = getattr(type(self), event.hook.removeprefix("gvt_"), None)
        if method is not None:
            _, *names = _signature(method).parameters
            method(self, **{name: event.arguments[name] for name in names})


class PluginHooks(Listener):
    """Listener that calls the hooks of plugins.

    A hook that raises is reported, and not called again in this run. With `stop` it also ends the
    run: after the step, once it is saved, as for Ctrl-C, or with an error if the run is complete.

    Args:
        plugins: The plugins. Those that are added later do not follow the run.
        report: Function that is called with a line about a hook that raised.
        stop: Whether a hook that raises ends the run.
    """

    def __init__(
        self, plugins: Plugins, report: Callable[[str], object], *, stop: bool = False
    ) -> None:
        self._report, self._stops = report, stop
        self._listening = {hook: plugins.implementations(hook) for hook in RUN_HOOKS}

    def hear(self, event: Event) -> None:
        """Call the hook of an event in all plugins.

        Raises:
            HookError: If a hook that ends the run raised, and the run is complete.
        """
        hook, run = event.hook, event.run
        is_end = hook == hookspecs.gvt_run_ended.__name__
        for plugin, function in tuple(self._listening[hook]):
            try:
                with unless_asked_again() if is_end else nullcontext():
                    function(**event.arguments)
            except (Exception, SystemExit) as error:
                self._listening[hook].remove((plugin, function))
                run.task.train()  # the hook may have changed the mode
                self._failed(run, f"plugin {plugin.name!r} ({plugin.origin}): {hook}", error)
        reason = run.stop_reason
        if is_end and isinstance(reason, HookError) and run.outcome == "success":
            raise HookError(f"{reason}; the run is complete", details=reason.details) from reason

    def _failed(self, run: Run, hook: str, error: BaseException) -> None:
        message = f"{hook} raised {type(error).__name__}: {' '.join(str(error).split())}"
        if not self._stops:
            self._report(f"{message}; it is switched off for this run")
            return
        self._report(f"{message}; the run stops, since run.hook_errors is stop")
        if run.stop_reason is None:
            run.stop_reason = HookError(message, details="".join(format_exception(error)))
            run.stop_reason.__cause__ = error


@contextmanager
def unless_asked_again() -> Iterator[None]:
    """Skip the rest of the context, with a warning, if the user asks once more to stop."""
    try:
        yield
    except KeyboardInterrupt:
        warnings.warn(
            "asked once more to stop: what was not yet written about the run is left out",
            stacklevel=3,
        )
