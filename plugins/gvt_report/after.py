"""Drawing an evaluation apart from a run."""

from __future__ import annotations

from pathlib import Path

from gvt import Evaluation
from gvt.runs import RunFolder

from .drawing import drawing
from .evaluations import draw_evaluation
from .report import write_report
from .summary import summarise


def draw_after(
    folder: Path, split: str, step: int | None, found: Evaluation, run_folder: Path | None
) -> None:
    """Draw an evaluation, and write the run's report anew.

    Args:
        folder: Where its figures are.
        split: The split that was evaluated.
        step: The step of the checkpoint; None for predictions of a file.
        found: The evaluation.
        run_folder: The run whose own evaluation it is, if any.
    """
    draw_evaluation(folder, split, step, found, found.classes)
    if run_folder is not None:
        run = RunFolder(run_folder)
        with drawing(run.report):
            write_report([summarise(run)], run.report)
