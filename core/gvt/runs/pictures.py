"""Sheets of samples, and one sample over the run."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from gvt.atomic import replacing

PADDING = 2
MOST_MOMENTS = 100
"""Moments in `progress.png`; of longer runs so many are chosen, evenly."""


def sheet_path(folder: Path, name: str, step: int) -> Path:
    """Return where a sheet of a step is kept."""
    return folder / f"{name}_{step:08d}.png"


def save_sheet(pictures: Tensor, path: Path) -> None:
    """Write pictures (N, C, H, W) in [0, 1], grey or colour, as a square sheet."""
    pixels = pictures.float().mul(255).round().byte().expand(-1, 3, -1, -1)
    path.parent.mkdir(exist_ok=True)
    _save_tiles([Image.fromarray(p) for p in pixels.permute(0, 2, 3, 1).cpu().numpy()], path)


def save_progress(samples: Path, name: str, size: tuple[int, int], path: Path, until: int) -> None:
    """Write the first picture of every sheet so far, in the order of steps.

    It is read from the sheets themselves, so that a resumed run has the beginning, too.

    Args:
        samples: The folder with the sheets.
        name: Which of them.
        size: Height and width of one picture.
        path: Where to.
        until: The last step that is shown; a resumed run may find sheets of a later one.
    """
    steps = sorted(int(m[1]) for p in samples.iterdir() if (m := _sheet(name).fullmatch(p.name)))
    steps = [step for step in steps if step <= until]
    if len(steps) > MOST_MOMENTS:
        chosen = np.linspace(0, len(steps) - 1, MOST_MOMENTS).round().astype(int)
        steps = [steps[i] for i in chosen]
    height, width = size
    tiles = []
    for step in steps:
        with Image.open(sheet_path(samples, name, step)) as sheet:
            tiles.append(sheet.crop((PADDING, PADDING, PADDING + width, PADDING + height)))
    _save_tiles(tiles, path)


def _sheet(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name) + r"_(\d+)\.png")


def _save_tiles(tiles: Sequence[Image.Image], path: Path) -> None:
    """Write pictures of one size as a square sheet, with lines between them."""
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    width, height = tiles[0].width + PADDING, tiles[0].height + PADDING
    size = (columns * width + PADDING, rows * height + PADDING)
    sheet = Image.new("RGB", size, (128, 128, 128))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (PADDING + column * width, PADDING + row * height))
    with replacing(path) as file:
        sheet.save(file)
