"""Sheets of images, and the progress of one image over the run."""

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
"""Maximum number of images in `progress.png`, evenly spaced over the run."""


def sheet_path(folder: Path, name: str, step: int) -> Path:
    """Return the path of a sheet of a step."""
    return folder / f"{name}_{step:08d}.png"


def sheets(folder: Path) -> list[tuple[str, int, Path]]:
    """Return the name, step and path of each sheet in a folder, sorted."""
    return sorted((m[1], int(m[2]), p) for p in folder.glob("*.png") if (m := _SHEET(p.name)))


def drop_sheets_after(folder: Path, step: int) -> None:
    """Delete the sheets of later steps, which a resumed run draws again."""
    for _, later, path in sheets(folder):
        if later > step:
            path.unlink()


def save_sheet(pictures: Tensor, path: Path) -> None:
    """Write images in [0, 1], grey or colour, as one sheet; a single image without a frame.

    Args:
        pictures: (N, C, H, W) for a square sheet, or (rows, columns, C, H, W).
        path: Path of the PNG.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    if pictures.ndim == 5:
        columns = pictures.shape[1]
        pictures = pictures.flatten(0, 1)
    path.parent.mkdir(exist_ok=True)
    _save_tiles(as_images(pictures), columns, path)


def save_pictures(pictures: Tensor, path: Path) -> Path:
    """Write images (N, C, H, W) in [0, 1] as one sheet, or as `00000.png` and so on in a folder.

    Args:
        pictures: The images.
        path: A file that ends in .png, or a folder, which is created if necessary.

    Returns:
        The path.

    Raises:
        UsageError: If the path cannot be written to; see `check_target`.
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
    """Check that `save_pictures` can write to a path, before images are generated.

    Raises:
        UsageError: If the suffix is that of another format, or the folder has older images.
    """
    if _is_sheet(path):
        return
    if path.is_dir():
        older = next((p.name for p in sorted(path.iterdir()) if _SINGLE(p.name)), None)
        if older is not None:
            raise UsageError(f"{path}: has pictures already, such as {older}; name another folder")
    elif path.suffix or path.exists():
        raise UsageError(f"{path}: name a file that ends in .png, or a folder")


def _is_sheet(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.is_dir()


def save_progress(samples: Path, name: str, size: tuple[int, int], path: Path, until: int) -> None:
    """Write the first image of every sheet so far, in the order of steps.

    The images are read from the sheets, so that a resumed run has those of the beginning, too.

    Args:
        samples: The folder with the sheets.
        name: Name of the sheets.
        size: Height and width of one image.
        path: Path of the PNG.
        until: The last step to show; the folder may have sheets of later steps.

    Raises:
        OSError: If the file cannot be written, or there is no sheet.
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


_SHEET = re.compile(r"([^.].*)_(\d{8,})\.png").fullmatch  # no unfinished file of a killed process
_SINGLE = re.compile(r"\d{5,}\.png").fullmatch


def _save_tiles(tiles: Sequence[Image.Image], columns: int, path: Path) -> None:
    """Write images of one size in rows, with lines between them; a single image without."""
    with replacing(path) as file:
        (tiles[0] if len(tiles) == 1 else tiled(tiles, columns)).save(file, "PNG")
