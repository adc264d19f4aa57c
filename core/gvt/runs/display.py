"""A run on the screen: a live line where there is a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TextIO, cast

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch import Tensor

from gvt.errors import NonFiniteError
from gvt.loop.evaluation import Evaluation
from gvt.loop.listener import Listener, Rows, Run
from gvt.printable import shown
from gvt.screen import Screen

PLAIN_SECONDS = 5.0
"""Least time between two plain lines about losses."""


class Display(Listener):
    """Shows losses, samples a second and the time left.

    A stream that cannot be written any more ends the display, and not the run.

    Args:
        headline: What was chosen: device, precision, memory format, data.
        notes: Further lines to begin with.
        stream: Where to write; standard error unless given.
    """

    def __init__(
        self, headline: str, notes: Sequence[str] = (), stream: TextIO | None = None
    ) -> None:
        self._opening = (headline, *notes)
        self._screen = Screen.of(sys.stderr if stream is None else stream)
        # Whatever FORCE_COLOR says: control codes belong on a terminal.
        self._console = Console(
            file=cast(IO[str], self._screen),
            force_terminal=None if self._screen.isatty() else False,
            highlight=False,
        )
        self._progress: _TwoLines | None = None
        self._first_step, self._started = 0, 0.0
        self._read_at, self._read_step, self._shown_at = 0.0, 0, 0.0

    @property
    def lost(self) -> str:
        """Why nothing is shown any more; empty while all is well."""
        return self._screen.lost

    def note(self, text: str) -> None:
        """Print a line above the live one."""
        self._console.print(shown(text), soft_wrap=True, markup=False, emoji=False)

    def run_started(self, run: Run) -> None:
        """Print the headline and begin to count."""
        for line in self._opening:
            self.note(line)
        self._first_step = self._read_step = run.step
        self._started = self._read_at = self._shown_at = time.monotonic()
        if self._console.is_terminal:
            self._progress = _TwoLines(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[speed]}", markup=False),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._progress.start()
            self._bar = self._progress.add_task(
                "", total=run.total_steps, completed=run.step, speed=""
            )

    def step_ended(self, run: Run, losses: Mapping[str, Tensor]) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.update(self._bar, completed=run.step)

    def losses_read(self, run: Run, rows: Rows) -> None:
        """Show the mean of the losses just read."""
        now = time.monotonic()
        steps = run.step - self._read_step
        speed = steps * run.samples_per_step / max(now - self._read_at, 1e-9)
        self._read_at, self._read_step = now, run.step
        means = _means(rows)
        losses = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        if self._progress is not None:
            self._progress.update(self._bar, speed=f"{speed:,.0f} samples/s")
            self._progress.losses = losses
        elif now - self._shown_at >= PLAIN_SECONDS or run.is_complete:
            self._shown_at = now
            done = max(1, run.step - self._first_step)
            left = (now - self._started) / done * (run.total_steps - run.step)
            self.note(
                f"step {run.step}/{run.total_steps}  {losses}  {speed:,.0f} samples/s  "
                f"{_duration(left)} left"
            )

    def evaluated(self, run: Run, split: str, evaluation: Evaluation) -> None:
        """Print the metrics, without those of single classes, which the report has."""
        shown = "  ".join(
            f"{name} {value:.4f}"
            for name, value in evaluation.metrics.items()
            if evaluation.figure(name).of_class is None
        )
        self.note(f"step {run.step}  {split}: {shown}")
        self._read_at = time.monotonic()  # evaluating is no training

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Leave the terminal as it was, and print where everything is."""
        if self._progress is not None:
            self._progress.stop()
        told = isinstance(error, NonFiniteError)  # its message says how to continue
        if run.outcome == "failure" and run.checkpoint is not None and not told:
            self.note(f"what was saved last goes on with: {run.resume_command}")
        seconds = time.monotonic() - self._started
        done = run.step - self._first_step
        if run.stopped_early:
            self.note(f"stopped early at step {run.step}: {run.stopped_early}")
        if done or not run.is_complete:
            self.note(f"{done} steps in {_duration(seconds)}")
        elif run.stopped_early:
            self.note(f"to go on: gvt resume {run.folder} evaluate.patience=null")
        else:
            extend = f"gvt resume {run.folder} train.steps=N"
            self.note(f"complete at step {run.step}; to extend it: {extend}")


class _TwoLines(Progress):
    """The bar, and below it the losses, which are too long for one line of a terminal."""

    losses = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what is drawn."""
        yield self.make_tasks_table(self.tasks)
        yield Text(shown(self.losses))


def _means(rows: Rows) -> dict[str, float]:
    names = dict.fromkeys(name for _, losses in rows for name in losses)
    by_name = {n: [losses[n] for _, losses in rows if n in losses] for n in names}
    return {n: sum(values) / len(values) for n, values in by_name.items()}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
