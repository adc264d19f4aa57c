"""Figures of matplotlib: an empty one, and a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gvt.files import replacing
from gvt.vision.drawing.tiles import LONGEST_TITLE, caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CELLS, MOST_NAMES = 20, 50
"""Largest numbers of classes for which counts are written into the cells, and all are named."""


@contextmanager
def figure_of(size: tuple[float, float], salt: str = "gvt") -> Iterator[Figure]:
    """Yield an empty figure of a size in inches, in which names are never read as formulas."""
    import matplotlib as mpl  # here, since it takes half a second
    from matplotlib.figure import Figure

    text: Any = {"text.parse_math": False, "text.usetex": False}
    svg: Any = {"svg.fonttype": "none", "svg.hashsalt": salt}
    with mpl.rc_context(text | svg):
        yield Figure(figsize=size, layout="constrained")


def save_matrix(matrix: Tensor, classes: Sequence[str], path: Path, title: str = "") -> None:
    """Draw a confusion matrix, each cell coloured by its share of its row.

    For up to 20 classes, the cells show the counts; for more than 50, only some are named.

    Args:
        matrix: (K, K) counts; rows are the truth, columns the predictions.
        classes: K names; if there are more or fewer, the classes are numbered.
        path: Path of the PNG.
        title: Title above.
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


def _count(value: float) -> str:
    """Return a number that fits into a cell: 9999, 12k, 1.2M; a share with two decimals."""
    if not math.isfinite(value):
        return str(value)
    for least, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:{'.3g' if value < 1e3 * unit else '.0f'}}{name}"
    return f"{value:.0f}" if value == round(value) else f"{value:.2f}"
