"""What a run measured, read from its `metrics.jsonl`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gvt.loop import BACKGROUND, Figure, Kind

Points = list[tuple[int, float]]
Curves = dict[str, Points]


@dataclass(frozen=True)
class Log:
    """The content of a `metrics.jsonl`.

    Attributes:
        curves: (step, value) by name; steps that a resumed run did again count once.
        figures: What each curve shows, by name.
        ending: The line of the run's end; None if it is running, or was killed.
        step: The last step of any line, 0 if there is none.
    """

    curves: Curves
    figures: Mapping[str, Figure]
    ending: Mapping[str, Any] | None
    step: int


def read_log(metrics: Path, classes: Sequence[str] = ()) -> Log:
    """Return the content of a file of metrics; it is empty if there is no such file.

    A line that was cut off, as by a kill, is left out.

    Args:
        metrics: The file.
        classes: Names of the classes, for logs that do not contain what their figures are.
    """
    curves: Curves = defaultdict(list)
    figures: dict[str, Figure] = {}
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
        figures |= from_document(row.pop("figures", None))
        for name, value in row.items():
            if name not in ("step", "epoch") and isinstance(value, int | float):
                curves[name].append((step, float(value)))
    curves = {name: points for name, points in curves.items() if points}
    return Log(curves, {n: figures.get(n) or guessed(n, classes) for n in curves}, ending, last)


def guessed(name: str, classes: Sequence[str] = ()) -> Figure:
    """Return what a number measures by its name, for logs that do not contain it.

    Args:
        name: Its name in the log.
        classes: Names of the classes.
    """
    group, _, metric = name.partition("/")
    if group in ("train", "lr"):
        return Figure("training loss" if group == "train" else "learning rate")
    if metric.startswith("loss/"):
        return Figure("loss")
    index = re.search(r"/(\d+)$", metric)
    ends = [c for c in (*classes, BACKGROUND) if metric.endswith(f"/{c}")]
    return Figure("metric", index[1] if index else max(ends, key=len, default=None))


def from_document(document: Any) -> dict[str, Figure]:
    """Return the figures of a document by name, without those that cannot be understood."""
    figures = {}
    for name, parts in document.items() if isinstance(document, Mapping) else ():
        if isinstance(parts, Mapping) and parts.get("kind") in get_args(Kind):
            of_class = parts.get("class")
            figures[name] = Figure(parts["kind"], None if of_class is None else str(of_class))
    return figures


def _rows(metrics: Path) -> Iterator[dict[str, Any]]:
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row
