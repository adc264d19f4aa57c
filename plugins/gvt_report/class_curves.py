"""Plots of metrics with a curve for each class, such as precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gvt import Curves
from gvt.vision.drawing import LONGEST_TITLE, caption

from .plots import LONGEST_CURVE, saved_figure, style

MOST_CURVES = 20
"""Maximum number of classes that are all drawn in colours."""

LOWEST = 10
"""Number of classes that are drawn in colours if there are more, those with the lowest means."""


def save_curves(curves: Curves, classes: Sequence[str], path: Path, title: str = "") -> None:
    """Draw the curve of each class and, for several classes, their mean.

    Each name is followed by the mean of its curve. If there are more than 20 classes, the 10 with
    the lowest means are drawn in colours, and all others in grey.

    Args:
        curves: The curves.
        classes: Names of the classes; if their number differs from that of the curves, indices are
            used.
        path: Path of the PNG.
        title: Title of the plot.
    """
    names = list(classes) if len(classes) == len(curves.y) else list(map(str, range(len(curves.y))))
    means = curves.y.double().nanmean(dim=1)
    drawn = [n for n in range(len(names)) if not means[n].isnan()]
    named = drawn
    if len(drawn) > MOST_CURVES:
        named = sorted(drawn, key=lambda n: float(means[n]))[:LOWEST]
    with saved_figure(path, (8, 4.8)) as figure:
        axes = figure.add_subplot()
        x = curves.x.numpy()
        for number in set(drawn) - set(named):
            axes.plot(x, curves.y[number].numpy(), color="0.8", linewidth=0.8, zorder=1)
        for place, number in enumerate(named):
            label = _label(names[number], float(means[number]))
            axes.plot(x, curves.y[number].numpy(), label=label, **style(place))
        if len(drawn) > 1:
            mean = curves.y[drawn].double().nanmean(dim=0)
            label = _label(f"mean of {len(drawn)} classes", float(mean.nanmean()))
            axes.plot(x, mean.numpy(), color="black", linewidth=2.2, label=label, zorder=3)
        across, up = curves.names
        axes.set(xlabel=caption(across), ylabel=caption(up), title=caption(title, LONGEST_TITLE))
        axes.set(**_limits(curves))
        axes.grid(alpha=0.3)
        if drawn:
            lowest = f"lowest {len(named)} of {len(drawn)}" if len(named) < len(drawn) else None
            figure.legend(loc="outside right upper", title=lowest, fontsize=9, frameon=False)


def _label(name: str, mean: float) -> str:
    return f"{caption(name, LONGEST_CURVE)}  {mean:.3f}"


def _limits(curves: Curves) -> dict[str, Any]:
    """Return limits of [0, 1] for axes whose values are all inside, so plots can be compared."""
    limits = {}
    for name, values in (("xlim", curves.x), ("ylim", curves.y)):
        numbers = values[~values.isnan()]
        if bool(((numbers >= 0) & (numbers <= 1)).all()):
            limits[name] = (-0.01, 1.02)
    return limits
