"""Draw a run during training, its report at the end, and evaluations after it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from gvt import Evaluation, Run, Shown
from gvt.fields import SUFFIXES
from gvt.files import save_files
from gvt.runs import RunFolder
from gvt.vision.drawing import save_samples

from .drawing import drawing
from .evaluations import draw_evaluation
from .notebook import NotebookImages, in_notebook
from .plots import charts_of, save_losses_plot, save_scatter
from .report import write_report
from .sheets import drop_sheets_after, save_progress, sheet_stem
from .summary import summarise

SHOWN = 64
"""Number of training samples on the sheet of the data."""

PROGRESS_SECONDS = 2.0
"""Minimum time between two drawings of `progress.png`, which grows with the run."""


class Follower:
    """Draws the images, plots and the report of one run.

    If a file cannot be drawn, there is a warning. A notebook shows the newest images, too.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = RunFolder(folder)
        self._evaluations: dict[str, tuple[int, Evaluation]] = {}
        self._progress_drawn_at = 0.0
        self._followed: tuple[str, tuple[int, int]] | None = None
        self._notebook: NotebookImages | None = None

    def start(self, run: Run) -> None:
        """Draw training samples, and delete sheets of steps that a resumed run repeats."""
        if in_notebook() and not run.quiet:
            self._notebook = NotebookImages()
        drop_sheets_after(self._folder.samples, run.step)
        path = self._folder.data
        if run.info is not None and not any(path.with_suffix(s).exists() for s in SUFFIXES):
            with drawing(path):
                save_samples(run.examples(SHOWN), run.info.classes, path)

    def keep(self, step: int, split: str, evaluation: Evaluation) -> None:
        """Store an evaluation; the last one of each split is drawn at the end."""
        self._evaluations[split] = (step, evaluation)

    def draw(self, step: int, pictures: Mapping[str, Shown]) -> None:
        """Save what a task shows, and the progress of the first image of the first sheet.

        Args:
            step: Number of training steps.
            pictures: What is shown, by name.
        """
        for name, shown in pictures.items():
            stem = sheet_stem(self._folder.samples, name, step)
            with drawing(stem):
                files = shown.files()
                if self._notebook is not None and files[0][0] == ".png":
                    self._notebook.show(name, files[0][1])
                with drawing(stem.with_name(stem.name + files[0][0])):
                    stem.parent.mkdir(exist_ok=True)
                    save_files(stem, files)
        # On other sheets, the place of the first sample is not known.
        for name, shown in [*pictures.items()][::-1]:
            if shown.field == "image":
                self._followed = (name, (shown.value.shape[-2], shown.value.shape[-1]))
        if time.monotonic() - self._progress_drawn_at > PROGRESS_SECONDS:
            self._draw_progress(step)

    def end(self, run: Run) -> None:
        """Draw the plots and evaluations, and write the report."""
        folder = self._folder
        self._draw_progress(run.step)
        for split, (step, evaluation) in self._evaluations.items():
            draw_evaluation(folder.evaluations, split, step, evaluation)
        if not folder.config.is_file():
            return  # a run in code without a configuration to report
        with drawing(folder.report):
            summary = summarise(folder)
            with drawing(folder.losses_plot):
                save_losses_plot(charts_of(summary.log), folder.losses_plot)
            phases = [phase.name for phase in run.task.phases]
            if len(phases) == 2:
                with drawing(folder.scatter_plot):
                    save_scatter(summary.log.curves, phases, folder.scatter_plot)
            write_report([summary], folder.report)

    def _draw_progress(self, step: int) -> None:
        if self._followed is not None:
            name, size = self._followed
            samples, path = self._folder.samples, self._folder.progress
            with drawing(path):
                save_progress(samples, name, size, path, until=step)
            self._progress_drawn_at = time.monotonic()


def draw_after(
    folder: Path, split: str, step: int | None, evaluation: Evaluation, run_folder: Path | None
) -> None:
    """Draw an evaluation after a run, and update the report if it belongs to the run.

    Args:
        folder: The folder with the metrics.
        split: The split that was evaluated.
        step: The step of the checkpoint; None for predictions from a file.
        evaluation: The evaluation.
        run_folder: The run that the evaluation belongs to, if any.
    """
    draw_evaluation(folder, split, step, evaluation)
    if run_folder is not None:
        run = RunFolder(run_folder)
        with drawing(run.report):
            write_report([summarise(run)], run.report)
