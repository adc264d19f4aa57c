"""What a run measured, from its `metrics.jsonl`, and pictures of it: curves, scatters, tables."""

from __future__ import annotations

import io
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gvt.atomic import replacing
from gvt.loop.evaluation import BACKGROUND
from gvt.runs.pictures import LONGEST_TITLE, caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = list[tuple[int, float]]
Curves = dict[str, Points]

MOST_POINTS = 1000
"""Points of one curve in an SVG; of longer ones the extremes of neighbours are kept."""

COLORS = 8
"""Colours that a page has for `curves_svg`: `--c0`, `--c1`..."""

DASHES = ("-", "--", ":")
"""Styles of lines, one after the other when the colours are used up."""

FEW, MOST_LINES = 8, 20
"""Names of curves that fit into a panel, and into a column beside it."""

MOST_CELLS, MOST_NAMES, LONGEST_CURVE = 20, 50, 40

_INK, _COLOR = "#010203", "#0c0c"  # what matplotlib is told, and the page's own stands for


# --- reading ----------------------------------------------------------------------------------


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


def read_curves(metrics: Path) -> Curves:
    """Return (step, value) by name, without the learning rates."""
    return {n: c for n, c in read_log(metrics).curves.items() if not n.startswith("lr/")}


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
            kinds[_kind(name)][name] = points
    return {kind: drawn for kind, drawn in kinds.items() if drawn}


def of_one_class(name: str, classes: Sequence[str] = ()) -> bool:
    """Whether a number is one element of a vector, such as `val/iou/3` or `val/iou/cat`."""
    if re.search(r"/\d+$", name) is not None:
        return True
    if _kind(name) != "Held-out metrics":
        return False
    metric = name.partition("/")[2]  # without the split
    return any("/" in metric and metric.endswith(f"/{c}") for c in (*classes, BACKGROUND))


def window_of(points: Points) -> int:
    """Return over how many neighbouring points a noisy curve's strong line is the mean."""
    return max(1, len(points) // 50)


def _rows(metrics: Path) -> Iterator[dict[str, Any]]:
    for line in metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            yield row


def _kind(name: str) -> str:
    if name.startswith("train/"):
        return "Training losses"
    if name.startswith("lr/"):
        return "Learning rates"
    return "Held-out losses" if "/loss/" in name else "Held-out metrics"


# --- curves -----------------------------------------------------------------------------------


def save_losses_plot(metrics: Path, path: Path, classes: Sequence[str] = ()) -> None:
    """Draw training losses, and beside them what was measured on held-out data.

    Args:
        metrics: The `metrics.jsonl`.
        path: Where to write the PNG.
        classes: Names of the classes; what is of a single one is not drawn.
    """
    shown = panels(read_curves(metrics), classes)
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


def save_scatter(metrics: Path, phases: Sequence[str], path: Path) -> None:
    """Draw the total loss of one phase against another's, a point a step.

    A phase's total at a step is the sum of `train/<phase>` and `train/<phase>/...`. Pearson's
    correlation r stands above. Where no step has both losses nothing is written.

    Args:
        metrics: The `metrics.jsonl`.
        phases: The names of the two phases, of the horizontal axis first.
        path: Where to write the PNG.
    """
    curves = read_curves(metrics)
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


def save_matrix(matrix: Tensor, classes: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a confusion matrix, each cell coloured by its share of its row.

    Up to 20 classes the counts stand in the cells, of more than 50 only some are named.

    Args:
        matrix: (K, K) counts; rows are the truth, columns what was predicted.
        classes: The K names; where there are not as many, the classes are numbered.
        path: Where to write the PNG.
        title: Stands above.
    """
    counts = matrix.detach().cpu().double().numpy()
    size = len(counts)
    with np.errstate(invalid="ignore"):  # the row of an entry that is not finite stays blank
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    names = [caption(name) for name in classes] if len(classes) == size else range(size)
    every = -(-size // MOST_NAMES)
    ticks, labels = range(0, size, every), [str(name) for name in names][::every]
    longest = max(map(len, labels))
    side = min(11.0, max(2.2, 0.5 * size)) + 0.08 * longest
    with figure_of((side + 1.8, side + 0.8)) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(image, ax=axes, label="share of the row", shrink=0.8)
        axes.set_xticks(ticks, labels, rotation=90 if longest > 2 else 0)
        axes.set_yticks(ticks, labels)
        axes.set(xlabel="predicted", ylabel="truth", title=caption(title, LONGEST_TITLE))
        if size <= MOST_CELLS:
            for row, column in np.ndindex(size, size):
                color = "white" if shares[row, column] > 0.5 else "black"
                text = _count(float(counts[row, column]))
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
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


def _count(value: float) -> str:
    """Return a number that fits into a cell: 9999, 12k, 1.2M; a share with two decimals."""
    if not math.isfinite(value):
        return str(value)
    for least, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return (
                f"{value / unit:.3g}{name}" if value < 1e3 * unit else f"{value / unit:.0f}{name}"
            )
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}"


@contextmanager
def figure_of(size: tuple[float, float], salt: str = "gvt") -> Iterator[Figure]:
    """Give an empty figure, in inches, of which names are text and never formulas."""
    import matplotlib as mpl  # takes half a second, and only the end needs it
    from matplotlib.figure import Figure

    text: Any = {"text.parse_math": False, "text.usetex": False}
    svg: Any = {"svg.fonttype": "none", "svg.hashsalt": salt}
    with mpl.rc_context(text | svg):
        yield Figure(figsize=size, layout="constrained")
