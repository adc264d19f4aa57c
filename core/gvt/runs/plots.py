"""Curves of a run, from its `metrics.jsonl`."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from gvt.atomic import replacing

Curves = dict[str, list[tuple[int, float]]]


def read_curves(metrics: Path) -> Curves:
    """Return (step, value) by name; what a resumed run did again counts once.

    A last line that was cut off, as by a kill, is left out.
    """
    curves: Curves = defaultdict(list)
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            row: Any = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict) or "step" not in row:
            continue
        if row.get("event") == "resumed":
            for name, points in curves.items():
                curves[name] = [p for p in points if p[0] <= row["step"]]
            continue
        for name, value in row.items():
            if name not in ("step", "epoch", "event") and not name.startswith("lr/"):
                curves[name].append((row["step"], value))
    return dict(curves)


def save_losses_plot(metrics: Path, path: Path) -> None:
    """Draw training losses, and beside them what was measured on held-out data."""
    from matplotlib.figure import Figure  # takes half a second, and only the end needs it

    curves = read_curves(metrics)
    losses = {n: c for n, c in curves.items() if n.startswith("train/")}
    others = {n: c for n, c in curves.items() if not n.startswith("train/")}
    panels: list[tuple[str, Curves]] = [("training loss", losses)]
    panels += [("held-out loss", {n: c for n, c in others.items() if "/loss/" in n})]
    panels += [("held-out metric", {n: c for n, c in others.items() if "/loss/" not in n})]
    panels = [(title, drawn) for title, drawn in panels if drawn]
    figure = Figure(figsize=(6 * max(1, len(panels)), 4), layout="constrained")
    for index, (title, drawn) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for name, points in drawn.items():
            _draw(axes, name, points)
        axes.set_xlabel("step")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(path) as file:
        figure.savefig(file, dpi=120)


def _draw(axes: Any, name: str, points: list[tuple[int, float]]) -> None:
    steps, values = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    label = name.removeprefix("train/")
    window = max(1, len(values) // 50)
    if window == 1:
        axes.plot(steps, values, label=label, marker="o" if len(values) < 50 else None)
        return
    # The mean of neighbouring steps is what the eye looks for; the steps themselves stay visible.
    smooth = np.convolve(values, np.ones(window) / window, mode="valid")
    (line,) = axes.plot(steps[window - 1 :], smooth, label=f"{label} (mean of {window})")
    axes.plot(steps, values, color=line.get_color(), alpha=0.2, linewidth=0.6)
