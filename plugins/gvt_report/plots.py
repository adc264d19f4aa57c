"""Charts of the logs of runs, as PNG and SVG, and a scatter plot of two losses."""

from __future__ import annotations

import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from gvt.files import replacing
from gvt.loop import Kind
from gvt.vision.drawing import caption, figure_of
from gvt_report.log import Curves, Log, Points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

TITLES: dict[Kind, str] = {
    "training loss": "Training losses",
    "loss": "Held-out losses",
    "metric": "Held-out metrics",
    "cosine": "Cosines between the heads' gradients",
    "learning rate": "Learning rates",
}

RANKS: tuple[Kind, ...] = ("metric", "loss", "training loss", "cosine", "learning rate")
"""The order of kinds in a comparison of runs, and in tables."""

MOST_POINTS = 1000
"""Maximum number of points of a curve in an SVG; longer ones are reduced to local extremes."""

COLORS = 8
"""Number of colours that a page defines for `Chart.svg`: `--c0`, `--c1`..."""

PNG_COLORS = tuple(f"C{number}" for number in range(10))

DASHES = ("-", "--", ":")
"""Line styles; the next one is used after each pass through the colours."""

FEW, MOST_LINES = 8, 20
"""Numbers of names that fit into a panel, and into a column beside it."""

LONGEST_CURVE = 40
"""Maximum number of characters of the name of a curve."""

# Colours for matplotlib, which the SVG replaces by those of the page.
_INK, _PAGE_COLORS = "#010203", tuple(f"#0c0c{number:02x}" for number in range(COLORS))


@dataclass(frozen=True)
class Chart:
    """Curves of one kind.

    Attributes:
        title: The title.
        kind: The kind of figure.
        curves: The curves by number, which selects the colour and the line style.
        names: The names of the curves, by number.
    """

    title: str
    kind: Kind
    curves: dict[int, Points] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def window(self, number: int) -> int:
        """Return the number of points in the moving average of a curve; 1 for none."""
        return 1 if self.kind == "learning rate" else max(1, len(self.curves[number]) // 50)

    @property
    def note(self) -> str:
        """The explanation of the strong lines, if there are any."""
        means = " or ".join(map(str, sorted({*map(self.window, self.curves)} - {1})))
        return f"strong lines are means of {means} neighbours" if means else ""

    def draw(self, axes: Any, colors: Sequence[str], most: int = sys.maxsize) -> None:
        """Draw the curves on matplotlib axes, each with at most `most` points."""
        for number, points in self.curves.items():
            window, look = self.window(number), style(number, colors)
            label = caption(self.names.get(number, ""), LONGEST_CURVE)
            steps, values = map(np.array, zip(*points, strict=True))
            if window > 1:
                # The moving average is a strong line. The values themselves are pale, and below
                # the strong lines of all curves.
                smooth = np.convolve(values, np.ones(window) / window, mode="valid")
                label = f"{label} (mean of {window})"
                _plot(axes, steps[window - 1 :], smooth, most // 4, **look, label=label)
                look = {"color": look["color"], "alpha": 0.2, "linewidth": 0.6, "zorder": 1.5}
            else:
                look |= {"label": label, "markersize": 4, "marker": "o" if len(values) < 50 else ""}
            _plot(axes, steps, values, most, **look)
        if self.kind == "cosine":
            axes.axhline(0, color=_INK, linewidth=0.8, zorder=1)
            axes.set_ylim(-1.05, 1.05)

    def svg(self) -> Markup:
        """Return the curves as an `<svg>` element that uses the colours of the page.

        Axes have the colour `currentColor`, and curve i has `var(--c<i % COLORS>)` and the style
        `DASHES[i // COLORS]`. The only texts in it are numbers; the page has the names.
        """
        from matplotlib.ticker import MaxNLocator

        with figure_of((4.6, 2.7), self.title) as figure:  # the title makes its ids unique
            axes = figure.add_subplot()
            self.draw(axes, _PAGE_COLORS, MOST_POINTS)
            axes.set_xlabel("step", color=_INK)
            axes.tick_params(length=0, labelcolor=_INK)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            axes.grid(color=_INK, alpha=0.14, linewidth=0.6)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.spines["bottom"].set(color=_INK, alpha=0.5)
            stream = io.StringIO()
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
        return Markup(_for_a_page(stream.getvalue()))


def charts_of(*logs: Log) -> list[Chart]:
    """Return a chart for each kind of figure in a log, or for each name in several logs.

    Figures of single classes are not drawn.
    """
    charts: dict[str, Chart] = {}
    several = len(logs) > 1
    for place, log in enumerate(logs):
        for name, points in log.curves.items():
            figure = log.figures[name]
            if figure.of_class is None:
                title = name if several else TITLES[figure.kind]
                chart = charts.setdefault(title, Chart(title, figure.kind))
                number = place if several else len(chart.curves)
                chart.curves[number] = points
                chart.names[number] = (
                    name if figure.kind in ("loss", "metric") else name.partition("/")[2]
                )
    order = RANKS if several else tuple(TITLES)
    return sorted(charts.values(), key=lambda chart: order.index(chart.kind))


def save_losses_plot(charts: Sequence[Chart], path: Path) -> None:
    """Draw training losses, and beside them held-out losses and metrics, as a PNG.

    Args:
        charts: The charts; learning rates are not drawn.
        path: Path of the PNG.
    """
    charts = [chart for chart in charts if chart.kind != "learning rate"]
    columns = [-(-len(chart.curves) // MOST_LINES) for chart in charts]
    widths = [
        6 + 1.6 * count * (len(chart.curves) > FEW)
        for chart, count in zip(charts, columns, strict=True)
    ]
    with saved_figure(path, (sum(widths) or 6, 4)) as figure:
        grid = figure.add_gridspec(1, max(1, len(charts)), width_ratios=widths or None)
        for index, chart in enumerate(charts):
            axes = figure.add_subplot(grid[index])
            chart.draw(axes, PNG_COLORS)
            axes.set_xlabel("step")
            axes.set_title(chart.title)
            axes.grid(alpha=0.3)
            if len(chart.curves) <= FEW:
                axes.legend()
            else:  # inside, the legend would cover the curves
                beside: Any = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
                axes.legend(fontsize=7, ncols=columns[index], frameon=False, **beside)


def save_scatter(curves: Curves, phases: Sequence[str], path: Path) -> None:
    """Draw the total losses of two phases against each other, with one point for each step.

    The total loss of a phase is the sum of `train/<phase>` and `train/<phase>/...`. The title is
    Pearson's correlation r. Nothing is written if no step has both losses.

    Args:
        curves: (step, value) by name.
        phases: Names of the two phases, that of the horizontal axis first.
        path: Path of the PNG.
    """
    first, second = (_totals(curves, phase) for phase in phases)
    steps = sorted(first.keys() & second.keys())
    if not steps:
        return
    x, y = (np.array([total[step] for step in steps]) for total in (first, second))
    with saved_figure(path, (6, 5)) as figure:
        axes = figure.add_subplot()
        size = 24 if len(steps) < 500 else 8
        dots = axes.scatter(x, y, c=steps, s=size, alpha=0.8, linewidths=0, cmap="viridis")
        figure.colorbar(dots, ax=axes, label="step")
        of_first, of_second = (f"{caption(phase)} loss" for phase in phases)
        axes.set(xlabel=of_first, ylabel=of_second, title=_correlation(x, y))
        axes.grid(alpha=0.3)


def _totals(curves: Curves, phase: str) -> dict[int, float]:
    totals: dict[int, float] = defaultdict(float)
    for name, points in curves.items():
        if name == f"train/{phase}" or name.startswith(f"train/{phase}/"):
            for step, value in points:
                totals[step] += value
    return totals


def _correlation(x: Array, y: Array) -> str:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return "r undefined"
    return f"r = {np.corrcoef(x, y)[0, 1]:.2f}"


@contextmanager
def saved_figure(path: Path, size: tuple[float, float]) -> Iterator[Figure]:
    """Provide an empty figure of a size in inches, which is written as a PNG at the end."""
    with figure_of(size) as figure:
        yield figure
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=120)


def style(number: int, colors: Sequence[str] = PNG_COLORS) -> dict[str, Any]:
    """Return the colour and the line style of a curve by its number."""
    turn, place = divmod(number, len(colors))
    return {"color": colors[place], "linestyle": DASHES[turn % len(DASHES)]}


def _plot(axes: Any, x: Array, y: Array, most: int, **look: Any) -> None:
    """Draw a curve; one with too many points by the minimum and maximum of each stretch."""
    places = np.arange(len(y))
    if len(y) > most:
        stretches = np.array_split(places, most // 2)
        places = np.unique([s[pick(y[s])] for s in stretches for pick in (np.argmin, np.argmax)])
    axes.plot(x[places], y[places], **look)


def _for_a_page(svg: str) -> str:
    """Return matplotlib's SVG file as an element without size and global style, numbers rounded."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the other ids contain a hash of the title
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d)\d+", r"\1", m[0]), svg)
    svg = svg.replace(_INK, "currentColor")
    for number, color in enumerate(_PAGE_COLORS):
        svg = svg.replace(color, f"var(--c{number})")
    return svg
