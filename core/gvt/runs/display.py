"""Show a run: a live line on a terminal, an output of a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, TextIO, cast

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
"""Shortest time between two plain lines with losses."""


class Display(Listener):
    """Shows losses, samples a second and the time left.

    If the stream cannot be written any more, the display ends, but not the run.

    Args:
        headline: First line: device, precision, memory format, data.
        notes: Further lines at the beginning.
        stream: Where to write; by default the notebook, or standard error if there is none.
    """

    def __init__(
        self, headline: str, notes: Sequence[str] = (), stream: TextIO | None = None
    ) -> None:
        self._opening = (headline, *notes)
        self._screen = Screen.of(sys.stderr if stream is None else stream)
        # Control codes are for terminals only, also if FORCE_COLOR is set.
        self._console = Console(
            file=cast(IO[str], self._screen),
            force_terminal=None if self._screen.isatty() else False,
            force_jupyter=None if stream is None else False,
            highlight=False,
        )
        self._progress: _TwoLines | None = None
        self._first_step, self._started = 0, 0.0
        self._read_at, self._read_step, self._shown_at = 0.0, 0, 0.0

    @property
    def lost(self) -> str:
        """The reason why nothing is shown any more; empty while the display works."""
        return self._screen.lost

    def note(self, text: str) -> None:
        """Print a line above the live one."""
        if isinstance(self._progress, _Notebook):
            self._progress.notes += (text,)
            self._progress.refresh(0.0)
        else:
            self._console.print(shown(text), soft_wrap=True, markup=False, emoji=False)

    def run_started(self, run: Run) -> None:
        """Print the first lines and start the bar."""
        if self._console.is_terminal or self._console.is_jupyter:
            self._progress = (_Notebook if self._console.is_jupyter else _TwoLines)(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(),
                TextColumn("{task.fields[speed]}", markup=False),
                TimeRemainingColumn(),
                console=self._console,
            )
        self.note("\n".join(self._opening))
        self._first_step = self._read_step = run.step
        self._started = self._read_at = self._shown_at = time.monotonic()
        if self._progress is not None:
            self._progress.start()
            self._bar = self._progress.add_task(
                "", total=run.total_steps, completed=run.step, speed=""
            )

    def step_ended(self, run: Run, losses: Mapping[str, Tensor]) -> None:
        """Move the bar."""
        if self._progress is not None:
            in_notebook = self._console.is_jupyter  # which has no thread that refreshes it
            self._progress.update(self._bar, completed=run.step, refresh=in_notebook)

    def losses_read(self, run: Run, rows: Rows) -> None:
        """Show the mean of the losses just read."""
        now = time.monotonic()
        steps = run.step - self._read_step
        speed = steps * run.samples_per_step / max(now - self._read_at, 1e-9)
        self._read_at, self._read_step = now, run.step
        by_name: dict[str, list[float]] = defaultdict(list)
        for name, loss in (item for _, losses in rows for item in losses.items()):
            if not name.startswith("cosine/"):  # which the report plots
                by_name[name].append(loss)
        means = "  ".join(f"{n} {sum(v) / len(v):.4f}" for n, v in by_name.items())
        if self._progress is not None:
            self._progress.update(self._bar, speed=f"{speed:,.0f} samples/s")
            self._progress.losses = means
        elif now - self._shown_at >= PLAIN_SECONDS or run.is_complete:
            self._shown_at = now
            done = max(1, run.step - self._first_step)
            left = (now - self._started) / done * (run.total_steps - run.step)
            self.note(
                f"step {run.step}/{run.total_steps}  {means}  {speed:,.0f} samples/s  "
                f"{_duration(left)} left"
            )

    def evaluated(self, run: Run, split: str, evaluation: Evaluation) -> None:
        """Print the metrics, without those of single classes, which the report has."""
        names = (name for name in evaluation.metrics if evaluation.figure(name).of_class is None)
        metrics = "  ".join(f"{name} {evaluation.metrics[name]:.4f}" for name in names)
        self.note(f"step {run.step}  {split}: {metrics}")
        self._read_at = time.monotonic()  # the speed is that of training

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """End the bar, and print how the run ended."""
        if self._progress is not None:
            self._progress.stop()
        # The message of a NonFiniteError says how to continue.
        is_explained = isinstance(error, NonFiniteError)
        if run.outcome == "failure" and run.checkpoint is not None and not is_explained:
            self.note(f"what was saved last goes on with: {run.resume_command}")
        seconds = time.monotonic() - self._started
        done = run.step - self._first_step
        if run.stopped_early:
            self.note(f"stopped early at step {run.step}: {run.stopped_early}")
        if done or not run.is_complete:
            self.note(f"{done} steps in {_duration(seconds)}")
        elif run.resume_with is not None:
            setting = "evaluate.patience=null" if run.stopped_early else "train.steps=N"
            aim = "to go on" if run.stopped_early else f"complete at step {run.step}; to extend it"
            self.note(f"{aim}: {run.resume_with(run.folder, setting)}")


class _TwoLines(Progress):
    """The bar, and the losses below it, which are too long for one line of a terminal."""

    losses = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the two lines."""
        yield self.make_tasks_table(self.tasks)
        yield Text(shown(self.losses))


class _Notebook(_TwoLines):
    """The same in a notebook, below the notes: an output that is updated in place.

    Attributes:
        notes: The notes; the first ten and the last fifty are shown.
    """

    notes: tuple[str, ...] = ()
    _output: Any = None
    _updated_at = 0.0

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the notes and the two lines."""
        notes = "\n".join((*self.notes[:10], *self.notes[10:][-50:]))
        yield Text(shown(notes), no_wrap=True, overflow="ignore")
        yield from super().get_renderables()

    def start(self) -> None:
        """Show the output."""
        from IPython.display import display

        self._output = display(self, display_id=True)

    def refresh(self, pause: float = 0.25) -> None:
        """Update the output, if the last update was `pause` seconds ago."""
        if self._output is not None and time.monotonic() - self._updated_at >= pause:
            self._output.update(self)
            self._updated_at = time.monotonic()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
