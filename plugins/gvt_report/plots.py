"""Plots of what a run measured: curves as a PNG and for a page, and one loss against another."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gvt.files import replacing
from gvt.runs import Curves, Points, kind_of, of_one_class
from gvt.vision.drawing import caption, figure_of

MOST_POINTS = 1000
"""Points of one curve in an SVG; of longer ones the extremes of neighbours are kept."""

COLORS = 8
"""Colours that a page has for `curves_svg`: `--c0`, `--c1`..."""

DASHES = ("-", "--", ":")
"""Styles of lines, one after the other when the colours are used up."""

FEW, MOST_LINES = 8, 20
"""Names of curves that fit into a panel, and into a column beside it."""

LONGEST_CURVE = 40

_INK, _COLOR = "#010203", "#0c0c"  # what matplotlib is told, and the page's own stands for


def panels(curves: Curves, classes: Sequence[str] = ()) -> dict[str, Curves]:
    """Return curves by what they show; those of single classes, as in `of_one_class`, not."""
    kinds: dict[str, Curves] = {
        "Training losses": {},
        "Held-out losses": {},
        "Held-out metrics": {},
        "Learning rates": {},
    }
    for name, points in curves.items():
        if not of_one_class(name, classes):
            kinds[kind_of(name)][name] = points
    return {kind: drawn for kind, drawn in kinds.items() if drawn}


def window_of(points: Points) -> int:
    """Return over how many neighbouring points a noisy curve's strong line is the mean."""
    return max(1, len(points) // 50)


# --- curves -----------------------------------------------------------------------------------


def save_losses_plot(curves: Curves, path: Path, classes: Sequence[str] = ()) -> None:
    """Draw training losses, and beside them what was measured on held-out data.

    Args:
        curves: (step, value) by name; learning rates are not drawn.
        path: Where to write the PNG.
        classes: Names of the classes; what is of a single one is not drawn.
    """
    shown = panels({n: c for n, c in curves.items() if not n.startswith("lr/")}, classes)
    columns = [-(-len(drawn) // MOST_LINES) for drawn in shown.values()]
    widths = [
        6 if len(d) <= FEW else 6 + 1.6 * n for d, n in zip(shown.values(), columns, strict=True)
    ]
    with figure_of((sum(widths) or 6, 4)) as figure:
        grid = figure.add_gridspec(1, max(1, len(shown)), width_ratios=widths or None)
        for index, (title, drawn) in enumerate(shown.items()):
            axes = figure.add_subplot(grid[index])
            for number, (name, points) in enumerate(drawn.items()):
                window = window_of(points)
                look = (f"C{number % 10}", DASHES[number // 10 % len(DASHES)])
                label = caption(name.removeprefix("train/"), LONGEST_CURVE)
                shown_as = label if window == 1 else f"{label} (mean of {window})"
                _draw(axes, points, window, *look, label=shown_as)
            axes.set_xlabel("step")
            axes.set_title(title)
            axes.grid(alpha=0.3)
            if len(drawn) <= FEW:
                axes.legend()
            else:  # would cover what it names
                beside: Any = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
                axes.legend(fontsize=7, ncols=columns[index], frameon=False, **beside)
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=120)


def curves_svg(curves: Mapping[int, Points], windows: Mapping[int, int], salt: str) -> str:
    """Return curves as an `<svg>` element that takes its colours from the page around it.

    Axes are in `currentColor`, and the curve with number i in `var(--c<i % COLORS>)` and the
    style `DASHES[i // COLORS]`. It bears no text but numbers; names belong into the page.

    Args:
        curves: By their numbers.
        windows: By the same numbers, of how many neighbours a strong line is the mean; 1 draws
            the curve as it is.
        salt: Differs between the figures of a page, so that their ids do, too.
    """
    from matplotlib.ticker import MaxNLocator

    with figure_of((4.6, 2.7), salt) as figure:
        axes = figure.add_subplot()
        for number, points in curves.items():
            dashes = DASHES[number // COLORS % len(DASHES)]
            color = f"{_COLOR}{number % COLORS:02x}"
            _draw(axes, points, windows[number], color, dashes, MOST_POINTS)
        axes.set_xlabel("step", color=_INK)
        axes.tick_params(length=0, labelcolor=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.grid(color=_INK, alpha=0.14, linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set(color=_INK, alpha=0.5)
        stream = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    return _for_a_page(stream.getvalue())


def _for_a_page(svg: str) -> str:
    """Return matplotlib's SVG file as an element: no size, no rules for others, short numbers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the other ids are hashed with the salt
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d)\d+", r"\1", m[0]), svg)
    svg = svg.replace(_INK, "currentColor")
    return re.sub(_COLOR + r"([\da-f]{2})", lambda m: f"var(--c{int(m[1], 16)})", svg)


def _draw(
    axes: Any,
    points: Points,
    window: int,
    color: str | None = None,
    dashes: str = "-",
    most: int | None = None,
    label: str | None = None,
) -> None:
    steps, values = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    kept = _extremes(values, most or len(values))
    if window == 1:
        dots: dict[str, Any] = {"marker": "o", "markersize": 4} if len(values) < 50 else {}
        axes.plot(steps[kept], values[kept], dashes, color=color, label=label, **dots)
        return
    # The mean of neighbouring steps is what the eye looks for; the steps themselves stay visible,
    # below the strong lines of all curves.
    smooth = np.convolve(values, np.ones(window) / window, mode="valid")
    at = np.linspace(0, len(smooth) - 1, min(len(smooth), (most or 4 * len(smooth)) // 4))
    at = at.round().astype(int)
    (line,) = axes.plot(steps[window - 1 :][at], smooth[at], dashes, color=color, label=label)
    pale = {"color": line.get_color(), "alpha": 0.2, "linewidth": 0.6, "zorder": 1.5}
    axes.plot(steps[kept], values[kept], **pale)


def _extremes(values: np.ndarray[Any, Any], most: int) -> np.ndarray[Any, Any]:
    """Return the places of the least and the greatest value of each stretch, in order."""
    if len(values) <= most:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(len(values)), most // 2)
    return np.unique([s[pick(values[s])] for s in stretches for pick in (np.argmin, np.argmax)])


# --- other pictures ---------------------------------------------------------------------------


def save_scatter(curves: Curves, phases: Sequence[str], path: Path) -> None:
    """Draw the total loss of one phase against another's, a point a step.

    A phase's total at a step is the sum of `train/<phase>` and `train/<phase>/...`. Pearson's
    correlation r stands above. Where no step has both losses nothing is written.

    Args:
        curves: (step, value) by name.
        phases: The names of the two phases, of the horizontal axis first.
        path: Where to write the PNG.
    """
    first, second = (_totals(curves, phase) for phase in phases)
    steps = sorted(first.keys() & second.keys())
    if not steps:
        return
    x, y = (np.array([total[step] for step in steps]) for total in (first, second))
    with figure_of((6, 5)) as figure:
        axes = figure.add_subplot()
        size = 24 if len(steps) < 500 else 8
        dots = axes.scatter(x, y, c=steps, s=size, alpha=0.8, linewidths=0, cmap="viridis")
        figure.colorbar(dots, ax=axes, label="step")
        of_first, of_second = (f"{caption(phase)} loss" for phase in phases)
        axes.set(xlabel=of_first, ylabel=of_second, title=_correlation(x, y))
        axes.grid(alpha=0.3)
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=120)


def _totals(curves: Curves, phase: str) -> dict[int, float]:
    totals: dict[int, float] = defaultdict(float)
    for name, points in curves.items():
        if name == f"train/{phase}" or name.startswith(f"train/{phase}/"):
            for step, value in points:
                totals[step] += value
    return totals


def _correlation(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> str:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return "r undefined"
    return f"r = {np.corrcoef(x, y)[0, 1]:.2f}"
