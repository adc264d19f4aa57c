"""Sheets of samples, and one sample over the run."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from gvt.atomic import replacing

PADDING = 2
MOST_MOMENTS = 100
"""Moments in `progress.png`; of longer runs so many are chosen, evenly."""

_STEP = re.compile(r"_(\d+)$")


def sheet_path(folder: Path, name: str, step: int) -> Path:
    """Return where a sheet of a step is kept."""
    return folder / f"{name}_{step:08d}.png"


def save_sheet(pictures: Tensor, path: Path) -> None:
    """Write pictures (N, C, H, W) in [0, 1] as a square sheet."""
    columns = math.ceil(math.sqrt(len(pictures)))
    grid = make_grid(pictures.cpu(), nrow=columns, padding=PADDING, pad_value=0.5)
    pixels = grid.mul(255).round().byte().permute(1, 2, 0).numpy()
    path.parent.mkdir(exist_ok=True)
    _write(Image.fromarray(pixels), path)


def save_progress(samples: Path, name: str, size: tuple[int, int], path: Path) -> None:
    """Write the first picture of every sheet so far, in the order of steps.

    It is read from the sheets themselves, so that a resumed run has the beginning, too.

    Args:
        samples: The folder with the sheets.
        name: Which of them.
        size: Height and width of one picture.
        path: Where to.
    """
    sheets = sorted(p for p in samples.glob(f"{name}_*.png") if _STEP.search(p.stem))
    if len(sheets) > MOST_MOMENTS:
        chosen = np.linspace(0, len(sheets) - 1, MOST_MOMENTS).round().astype(int)
        sheets = [sheets[i] for i in chosen]
    height, width = size
    columns = math.ceil(math.sqrt(len(sheets)))
    rows = math.ceil(len(sheets) / columns)
    canvas = Image.new(
        "RGB",
        (columns * (width + PADDING) + PADDING, rows * (height + PADDING) + PADDING),
        (128, 128, 128),
    )
    for index, sheet in enumerate(sheets):
        with Image.open(sheet) as image:
            first = image.crop((PADDING, PADDING, PADDING + width, PADDING + height))
        row, column = divmod(index, columns)
        corner = (PADDING + column * (width + PADDING), PADDING + row * (height + PADDING))
        canvas.paste(first, corner)
    _write(canvas, path)


def _write(image: Image.Image, path: Path) -> None:
    with replacing(path) as file:
        image.save(file)
