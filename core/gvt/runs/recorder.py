"""Write the log of a run and its evaluations to disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from gvt.files import append_lines, attempting
from gvt.loop.evaluation import Evaluation
from gvt.loop.figures import Figure, to_document
from gvt.loop.listener import Listener, Rows, Run
from gvt.runs.evaluations import save_evaluation
from gvt.runs.folder import RunFolder


class Recorder(Listener):
    """Writes `metrics.jsonl` during a run, and the last evaluation of each split at its end.

    Args:
        folder: Folder of the run.
        display_lost: Returns why the display shows nothing any more, or an empty string; the log
            notes the reason once.
    """

    def __init__(self, folder: RunFolder, display_lost: Callable[[], str] = str) -> None:
        self._folder = folder
        self._display_lost, self._noted_display = display_lost, False
        self._evaluations: dict[str, tuple[int, Evaluation]] = {}
        self._figures: dict[str, Figure] = {}
        self._started = time.monotonic()

    def run_started(self, run: Run) -> None:
        """Note in the log where a resumed run continues."""
        self._started = time.monotonic()
        if run.step or self._folder.metrics.exists():
            self._append({"event": "resumed", "step": run.step})

    def losses_read(self, run: Run, rows: Rows) -> None:
        """Append a line for every step."""
        rates = {f"lr/{key}": rate for key, rate in run.learning_rates.items()}
        figures = dict.fromkeys(rates, Figure("learning rate"))
        lines: list[dict[str, Any]] = []
        for step, losses in rows:
            named = {f"train/{name}": loss for name, loss in losses.items()}
            figures |= {f"train/{name}": Figure.of_training(name) for name in losses}
            lines.append({"step": step, "epoch": (step - 1) // run.steps_per_epoch, **named})
        lines[-1] |= rates
        self._append(*lines, figures=figures)

    def evaluated(self, run: Run, split: str, evaluation: Evaluation) -> None:
        """Append a line with the metrics, and keep the evaluation until the end."""
        named = evaluation.named(split)
        figures = dict(zip(named, map(evaluation.figure, evaluation.metrics), strict=True))
        self._append({"step": run.step, **named}, figures=figures)
        self._evaluations[split] = (run.step, evaluation)

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Note how the run ended, and write the last evaluation of each split.

        If a file cannot be written, a warning is given.
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
        with attempting(folder.metrics):
            self._append(ending)
        about: dict[str, Any] = {}
        if run.config is not None:  # it is None for a run built in code
            train = run.config.train
            about = {"averaged": train.ema is not None, "precision": train.precision}
        for split, (step, evaluation) in self._evaluations.items():
            save_evaluation(folder.evaluations, split, step, evaluation, about)

    def _append(
        self, *lines: Mapping[str, Any], figures: Mapping[str, Figure] | None = None
    ) -> None:
        """Append lines, the first one with those figures that are new in the log."""
        new = {n: f for n, f in (figures or {}).items() if self._figures.get(n) != f}
        if new:
            self._figures |= new
            lines = ({**lines[0], "figures": to_document(new)}, *lines[1:])
        if not self._noted_display and (lost := self._display_lost()):
            self._noted_display = True
            lines = ({"event": "display lost", "step": lines[0]["step"], "reason": lost}, *lines)
        append_lines(self._folder.metrics, lines)
