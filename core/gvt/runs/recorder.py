"""Writing a run down as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from gvt.atomic import attempting
from gvt.loop.evaluation import Evaluation
from gvt.loop.listener import Listener, Rows, Run
from gvt.runs.evaluations import save_evaluation
from gvt.runs.folder import RunFolder
from gvt.runs.lines import append_lines
from gvt.runs.pictures import drop_sheets_after, save_progress, save_sheet, sheet_path
from gvt.runs.plots import save_losses_plot, save_scatter
from gvt.runs.report import write_report

PROGRESS_SECONDS = 2.0
"""Least time between two drawings of `progress.png`, which takes longer the longer a run is."""


class Recorder(Listener):
    """Keeps everything in a run's folder but its checkpoints.

    Args:
        folder: The folder.
        classes: Names of the data's classes.
        display_lost: Returns why the display shows nothing any more, nothing while it does; the
            metrics note it once.
    """

    def __init__(
        self,
        folder: RunFolder,
        classes: Sequence[str] = (),
        display_lost: Callable[[], str] = str,
    ) -> None:
        self._folder, self._classes = folder, classes
        self._display_lost, self._noted_display = display_lost, False
        self._evaluations: dict[str, tuple[int, Evaluation]] = {}
        self._started = time.monotonic()
        self._progress_drawn_at = 0.0
        self._followed: tuple[str, tuple[int, int]] | None = None

    def run_started(self, run: Run) -> None:
        """Note in the metrics where a resumed run goes on, and forget what it undoes."""
        self._started = time.monotonic()
        drop_sheets_after(self._folder.samples, run.step)
        if run.step or self._folder.metrics.exists():
            self._append({"event": "resumed", "step": run.step})

    def losses_read(self, run: Run, rows: Rows) -> None:
        """Append a line for every step."""
        lines = [
            {"step": step, "epoch": (step - 1) // run.steps_per_epoch}
            | {f"train/{name}": value for name, value in losses.items()}
            for step, losses in rows
        ]
        lines[-1] |= {f"lr/{key}": rate for key, rate in run.learning_rates.items()}
        self._append(*lines)

    def evaluated(self, run: Run, split: str, found: Evaluation) -> None:
        """Append a line with the metrics; the last evaluation of each split is drawn at the end."""
        self._append({"step": run.step, **found.named(split)})
        self._evaluations[split] = (run.step, found)

    def pictures_drawn(self, run: Run, pictures: Mapping[str, Tensor]) -> None:
        """Save the sheets, and how the first picture of the first one came about."""
        for name, sheet in pictures.items():
            path = sheet_path(self._folder.samples, name, run.step)
            with attempting(path):
                save_sheet(sheet, path)
        name, sheet = next(iter(pictures.items()))
        self._followed = (name, (sheet.shape[-2], sheet.shape[-1]))
        if time.monotonic() - self._progress_drawn_at > PROGRESS_SECONDS:
            self._draw_progress(run)

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Draw what is drawn once, note how it ended, and write the report.

        A file that cannot be written is warned of, and spoils neither the others nor the run.
        """
        folder = self._folder
        ending = {
            "event": "ended",
            "step": run.step,
            "total_steps": run.total_steps,
            "outcome": run.outcome,
            "stopped_early": run.stopped_early,
            "error": None if error is None else str(error),
            "seconds": round(time.monotonic() - self._started, 3),
            "resume": run.resume_command,
        }
        with attempting(folder.metrics):  # first, since the pictures may find no room
            self._append(ending)
        self._draw_progress(run)
        for split, (step, found) in self._evaluations.items():
            about = _circumstances(run)
            save_evaluation(folder.evaluations, split, step, found, self._classes, about=about)
        with attempting(folder.losses_plot):
            save_losses_plot(folder.metrics, folder.losses_plot, self._classes)
        phases = [phase.name for phase in run.task.phases]
        if len(phases) == 2:
            with attempting(folder.scatter_plot):
                save_scatter(folder.metrics, phases, folder.scatter_plot)
        with attempting(folder.report):
            write_report([folder], folder.report)

    def _draw_progress(self, run: Run) -> None:
        if self._followed is not None:
            name, size = self._followed
            samples, path = self._folder.samples, self._folder.progress
            with attempting(path):
                save_progress(samples, name, size, path, until=run.step)
            self._progress_drawn_at = time.monotonic()

    def _append(self, *lines: Mapping[str, Any]) -> None:
        lost = "" if self._noted_display else self._display_lost()
        if lost:
            self._noted_display = True
            event = {"event": "display lost", "step": lines[0]["step"], "reason": lost}
            lines = (event, *lines)
        append_lines(self._folder.metrics, lines)


def _circumstances(run: Run) -> dict[str, Any]:
    """Return what evaluations depend on besides the weights; of a run in code it is not known."""
    if run.config is None:
        return {}
    train = run.config.train
    return {"averaged": train.ema is not None, "precision": train.precision}
