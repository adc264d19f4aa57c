"""Writing a run down as it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gvt.listener import Listener, Rows, Run
from gvt.runs.folder import RunFolder
from gvt.runs.pictures import save_progress, save_sheet, sheet_path
from gvt.runs.plots import save_losses_plot


class Recorder(Listener):
    """Keeps `metrics.jsonl`, `samples/`, `progress.png` and `losses.png` of a run's folder."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def run_started(self, run: Run) -> None:
        """Note in the metrics where a resumed run goes on."""
        if run.step or self._folder.metrics.exists():
            _end_last_line(self._folder.metrics)
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

    def evaluated(self, run: Run, split: str, metrics: Mapping[str, float]) -> None:
        """Append a line with the metrics."""
        self._append({"step": run.step, **{f"{split}/{n}": v for n, v in metrics.items()}})

    def pictures_drawn(self, run: Run, pictures: Mapping[str, Tensor]) -> None:
        """Save the sheets, and how the first picture of the first one came about."""
        samples = self._folder.samples
        for name, sheet in pictures.items():
            save_sheet(sheet, sheet_path(samples, name, run.step))
        name, sheet = next(iter(pictures.items()))
        size = (sheet.shape[-2], sheet.shape[-1])
        save_progress(samples, name, size, self._folder.progress, until=run.step)

    def run_ended(self, run: Run, error: BaseException | None) -> None:
        """Draw the curves."""
        if self._folder.metrics.exists():
            save_losses_plot(self._folder.metrics, self._folder.losses_plot)

    def _append(self, *lines: Mapping[str, Any]) -> None:
        with self._folder.metrics.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


def _end_last_line(path: Path) -> None:
    """End a line that a kill cut off, so that what follows begins a new one."""
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
