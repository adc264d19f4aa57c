"""What a run measured, read from its `metrics.jsonl`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt.loop.evaluation import BACKGROUND

Points = list[tuple[int, float]]
Curves = dict[str, Points]


@dataclass(frozen=True)
class Log:
    """What `metrics.jsonl` says.

    Attributes:
        curves: (step, value) by name; what a resumed run did again counts once.
        ending: The line of the run's end; None if it is running, or was killed.
        step: The last step of any line, 0 if there is none.
    """

    curves: Curves
    ending: Mapping[str, Any] | None
    step: int


def read_log(metrics: Path) -> Log:
    """Return what a file of metrics says; no file says nothing.

    A line that was cut off, as by a kill, is left out.
    """
    curves: Curves = defaultdict(list)
    ending, last = None, 0
    for row in _rows(metrics) if metrics.exists() else ():
        step = last = row["step"]
        event = row.get("event")
        ending = row if event == "ended" else None
        if event == "resumed":
            for name, points in curves.items():
                curves[name] = [p for p in points if p[0] <= step]
        if event is not None:
            continue
        for name, value in row.items():
            if name not in ("step", "epoch") and isinstance(value, int | float):
                curves[name].append((step, float(value)))
    return Log({name: points for name, points in curves.items() if points}, ending, last)


def of_one_class(name: str, classes: Sequence[str] = ()) -> bool:
    """Whether a number is one element of a vector, such as `val/iou/3` or `val/iou/cat`."""
    if re.search(r"/\d+$", name) is not None:
        return True
    if kind_of(name) != "Held-out metrics":
        return False
    metric = name.partition("/")[2]  # without the split
    return any("/" in metric and metric.endswith(f"/{c}") for c in (*classes, BACKGROUND))


def kind_of(name: str) -> str:
    """Return what a number is, by its name: of which kind the curves of a plot are."""
    if name.startswith("train/"):
        return "Training losses"
    if name.startswith("lr/"):
        return "Learning rates"
    return "Held-out losses" if "/loss/" in name else "Held-out metrics"


def _rows(metrics: Path) -> Iterator[dict[str, Any]]:
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row
