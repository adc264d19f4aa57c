"""Sheets of the worst mistakes: predictions and targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from gvt import Mistake
from gvt.fields import files_of_samples
from gvt.files import save_files
from gvt.geometry import is_spatial
from gvt.printable import printable
from gvt.vision.drawing import sample_tile, save_tiles, words_of

GAP = 4
"""Pixels between a prediction and the truth beside it."""


def save_mistakes(
    mistakes: Sequence[Mistake], classes: Sequence[str], path: Path, title: str = ""
) -> None:
    """Draw the worst samples as a sheet, each with its prediction and the truth.

    Predictions of pixels, masks and boxes are drawn on the image, and the truth on the same image
    beside it. Classes of the whole image are lines below it. Samples without images are written
    beside the path: lines of text into `.txt`, and others as their fields show them.

    Args:
        mistakes: One or more samples.
        classes: Names of the classes.
        path: Path of the PNG.
        title: A line above the sheet.
    """
    if "image" not in mistakes[0].inputs:
        lines = [_line(mistake, classes) for mistake in mistakes]
        keys = dict.fromkeys(key for mistake in mistakes for key in mistake.inputs)
        inputs = {key: [mistake.inputs.get(key) for mistake in mistakes] for key in keys}
        (end, text), *files = files_of_samples(inputs, lines)
        heading = f"{title}\n\n" if title else ""
        save_files(path.with_suffix(""), [(end, heading.encode() + text), *files])
        return
    tiles = [_tile(mistake, classes) for mistake in mistakes]
    values = [v for mistake in mistakes for v in (mistake.prediction, _truth(mistake))]
    save_tiles(tiles, values, classes, path, title)


def _line(mistake: Mistake, classes: Sequence[str]) -> str:
    """Return the source of a sample, its prediction and the truth as one line."""
    words = [words_of(values, classes) for values in (mistake.prediction, _truth(mistake))]
    predicted, right = (w or "?" for w in words)
    return f"{printable(mistake.source)}: predicted {predicted}, is {right}"


def _tile(mistake: Mistake, classes: Sequence[str]) -> Image.Image:
    """Return a sample with its prediction and the truth, side by side if both are drawn."""
    truth = _truth(mistake)
    predicted, right = words_of(mistake.prediction, classes), words_of(truth, classes)
    if not is_spatial(truth):
        captions = [predicted, f"is {right}"]
        return sample_tile(mistake.inputs["image"], mistake.prediction, classes, captions)
    blank = " " if predicted or right else ""  # so that all captions have the same height
    captions = ["predicted", predicted or blank]
    left = sample_tile(mistake.inputs["image"], mistake.prediction, classes, captions)
    beside = sample_tile(mistake.inputs["image"], truth, classes, ["truth", right or blank])
    both = ImageOps.expand(left, (0, 0, GAP + beside.width, 0), "white")
    both.paste(beside, (left.width + GAP, 0))
    return both


def _truth(mistake: Mistake) -> dict[str, Any]:
    """Return the targets of the keys that are predicted."""
    return {k: v for k, v in mistake.target.items() if k in mistake.prediction}
