"""Sheets of samples, one sample over the run, and words that fit on pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from gvt import UsageError
from gvt.files import replacing
from gvt.vision.drawing import PADDING, as_images, tiled

MOST_MOMENTS = 100
"""Moments in `progress.png`; of longer runs so many are chosen, evenly."""


def sheet_path(folder: Path, name: str, step: int) -> Path:
    """Return where a sheet of a step is kept."""
    return folder / f"{name}_{step:08d}.png"


def sheets(folder: Path) -> list[tuple[str, int, Path]]:
    """Return name, step and path of each sheet in a folder, in their order."""
    return sorted((m[1], int(m[2]), p) for p in folder.glob("*.png") if (m := _SHEET(p.name)))


def drop_sheets_after(folder: Path, step: int) -> None:
    """Delete the sheets of later steps, which a run that is resumed from there draws anew."""
    for _, later, path in sheets(folder):
        if later > step:
            path.unlink()


def save_sheet(pictures: Tensor, path: Path) -> None:
    """Write pictures in [0, 1], grey or colour, as one; a single picture as it is.

    Args:
        pictures: (N, C, H, W) for a square sheet, or (rows, columns, C, H, W).
        path: Where to write the PNG.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    if pictures.ndim == 5:
        columns = pictures.shape[1]
        pictures = pictures.flatten(0, 1)
    path.parent.mkdir(exist_ok=True)
    _save_tiles(as_images(pictures), columns, path)


def save_pictures(pictures: Tensor, path: Path) -> Path:
    """Write pictures (N, C, H, W) in [0, 1] as one sheet, or each as `00000.png` in a folder.

    Args:
        pictures: The pictures.
        path: A file that ends in .png, or else a folder, which is made if need be.

    Returns:
        The path.

    Raises:
        UsageError: If the path is none to write to; see `check_target`.
    """
    check_target(path)
    if _is_sheet(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_sheet(pictures, path)
        return path
    path.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(as_images(pictures)):
        with replacing(path / f"{number:05d}.png") as file:
            image.save(file, "PNG")
    return path


def check_target(path: Path) -> None:
    """Check that `save_pictures` can write to a path, before the work of drawing anything.

    Raises:
        UsageError: If the suffix is of another format, or pictures would mix with older ones.
    """
    if _is_sheet(path):
        return
    if path.is_dir():
        older = next((p.name for p in sorted(path.iterdir()) if _SINGLE(p.name)), None)
        if older is not None:
            raise UsageError(f"{path}: has pictures already, such as {older}; name another folder")
    elif path.suffix or path.exists():
        raise UsageError(f"{path}: give a file that ends in .png, or a folder")


def _is_sheet(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.is_dir()


def save_progress(samples: Path, name: str, size: tuple[int, int], path: Path, until: int) -> None:
    """Write the first picture of every sheet so far, in the order of steps.

    It is read from the sheets themselves, so that a resumed run has the beginning, too.

    Args:
        samples: The folder with the sheets.
        name: Which of them.
        size: Height and width of one picture.
        path: Where to.
        until: The last step that is shown; a resumed run may find sheets of a later one.

    Raises:
        OSError: If it cannot be written, or there is no sheet.
    """
    paths = [path for of, step, path in sheets(samples) if of == name and step <= until]
    if not paths:
        raise OSError(f"{samples} has no sheet {name!r}")
    if len(paths) > MOST_MOMENTS:
        chosen = np.linspace(0, len(paths) - 1, MOST_MOMENTS).round().astype(int)
        paths = [paths[i] for i in chosen]
    height, width = size
    tiles = []
    for sheet_of_step in paths:
        with Image.open(sheet_of_step) as sheet:
            edge = 0 if sheet.size == (width, height) else PADDING
            tiles.append(sheet.crop((edge, edge, edge + width, edge + height)))
    _save_tiles(tiles, math.ceil(math.sqrt(len(tiles))), path)


_SHEET = re.compile(r"([^.].*)_(\d{8,})\.png").fullmatch  # none that a kill left unfinished
_SINGLE = re.compile(r"\d{5,}\.png").fullmatch


def _save_tiles(tiles: Sequence[Image.Image], columns: int, path: Path) -> None:
    """Write pictures of one size in rows, with lines between them; a single one without."""
    with replacing(path) as file:
        (tiles[0] if len(tiles) == 1 else tiled(tiles, columns)).save(file, "PNG")
