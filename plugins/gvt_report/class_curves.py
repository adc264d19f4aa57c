"""Pictures of what a metric has a curve of for each class, such as precision over recall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gvt import Curves
from gvt.vision.drawing import LONGEST_TITLE, caption

from .plots import LONGEST_CURVE, saved_figure, style

MOST_CURVES = 20
"""Classes that are each drawn in a colour of their own; of more the lowest ones are."""

LOWEST = 10


def save_curves(curves: Curves, classes: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a line for each class that has one and, of several, their mean.

    Behind each name stands the mean of its curve. Of more than 20 classes all are drawn pale, and
    in colours the 10 with the lowest means.

    Args:
        curves: The curves.
        classes: Names of the classes; where there are not as many as curves, they are numbered.
        path: Where to write the PNG.
        title: Stands above.
    """
    names = list(classes) if len(classes) == len(curves.y) else list(map(str, range(len(curves.y))))
    means = curves.y.double().nanmean(dim=1)
    there = [n for n in range(len(names)) if not means[n].isnan()]
    named = there
    if len(there) > MOST_CURVES:
        named = sorted(there, key=lambda n: float(means[n]))[:LOWEST]
    with saved_figure(path, (8, 4.8)) as figure:
        axes = figure.add_subplot()
        x = curves.x.numpy()
        for number in set(there) - set(named):
            axes.plot(x, curves.y[number].numpy(), color="0.8", linewidth=0.8, zorder=1)
        for place, number in enumerate(named):
            label = _label(names[number], float(means[number]))
            axes.plot(x, curves.y[number].numpy(), label=label, **style(place))
        if len(there) > 1:
            mean = curves.y[there].double().nanmean(dim=0)
            label = _label(f"mean of {len(there)} classes", float(mean.nanmean()))
            axes.plot(x, mean.numpy(), color="black", linewidth=2.2, label=label, zorder=3)
        across, up = curves.names
        axes.set(xlabel=caption(across), ylabel=caption(up), title=caption(title, LONGEST_TITLE))
        axes.set(**_limits(curves))
        axes.grid(alpha=0.3)
        if there:
            lowest = f"lowest {len(named)} of {len(there)}" if len(named) < len(there) else None
            figure.legend(loc="outside right upper", title=lowest, fontsize=9, frameon=False)


def _label(name: str, mean: float) -> str:
    return f"{caption(name, LONGEST_CURVE)}  {mean:.3f}"


def _limits(curves: Curves) -> dict[str, Any]:
    """Return limits to all of [0, 1] where all is in it, so that pictures can be compared."""
    limits = {}
    for name, values in (("xlim", curves.x), ("ylim", curves.y)):
        known = values[~values.isnan()]
        if bool(((known >= 0) & (known <= 1)).all()):
            limits[name] = (-0.01, 1.02)
    return limits
