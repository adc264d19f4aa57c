"""What a task shows, in files, and the progress of one image over the run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from gvt import Shown, UsageError
from gvt.fields import SUFFIXES
from gvt.files import replacing, save_files
from gvt.vision.drawing import PADDING, tiled

MOST_MOMENTS = 100
"""Maximum number of images in `progress.png`, evenly spaced over the run."""


def sheet_stem(folder: Path, name: str, step: int) -> Path:
    """Return the path of the files of a step without their suffix."""
    return folder / f"{name}_{step:08d}"


def sheets(folder: Path) -> list[tuple[str, int, Path]]:
    """Return the name, step and path of each file of a step in a folder, sorted."""
    paths = (p for p in folder.glob("*") if p.suffix in SUFFIXES)
    return sorted((m[1], int(m[2]), p) for p in paths if (m := _STEM(p.stem)))


def drop_sheets_after(folder: Path, step: int) -> None:
    """Delete the files of later steps, which a resumed run writes again."""
    for _, later, path in sheets(folder):
        if later > step:
            path.unlink()


def save_sampled(generate: Callable[[int], Shown], count: int, path: Path | None) -> list[Path]:
    """Generate samples, and write them as one file, or as `00000.png` and so on in a folder.

    Args:
        generate: Returns a number of samples.
        count: Number of samples.
        path: A file with the suffix of the field, or a folder, which is created if necessary;
            `samples` with that suffix by default.

    Returns:
        The paths: the folder, or the file and those beside it, such as a spectrogram.

    Raises:
        UsageError: If the path cannot be written to; see `check_target`. A suffix of another field
            is refused after one sample, before the others are generated.
    """
    if path is not None:
        check_target(path)
    shown = generate(1 if path is not None and _is_file(path) else count)
    if path is not None and _is_file(path):
        suffix = shown.files()[0][0]
        if path.suffix.lower() != suffix:
            raise UsageError(f"{path}: name a file that ends in {suffix}, or a folder")
        shown = generate(count) if count > 1 else shown
    if path is None or _is_file(path):
        (suffix, content), *others = shown.files()
        path = path or Path(f"samples{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        main = save_files(path.with_suffix(""), [(path.suffix, content)])
        return main + save_files(path.with_suffix(""), others)
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        one = replace(shown, value=shown.value[number : number + 1])
        save_files(path / f"{number:05d}", one.files())
    return [path]


def check_target(path: Path) -> None:
    """Check that `save_sampled` can write to a path, before anything is generated.

    Raises:
        UsageError: If no field has the suffix, or the folder has older samples.
    """
    if _is_file(path):
        return
    if path.is_dir():
        older = next((p.name for p in sorted(path.iterdir()) if _SINGLE(p.name)), None)
        if older is not None:
            raise UsageError(f"{path}: has samples already, such as {older}; name another folder")
    elif path.suffix or path.exists():
        *suffixes, last = SUFFIXES
        ends = f"{', '.join(suffixes)} or {last}"
        raise UsageError(f"{path}: name a file that ends in {ends}, or a folder")


def _is_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


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
    progress = tiles[0] if len(tiles) == 1 else tiled(tiles, math.ceil(math.sqrt(len(tiles))))
    with replacing(path) as file:
        progress.save(file, "PNG")


_STEM = re.compile(r"([^.].*)_(\d{8,})").fullmatch  # no unfinished file of a killed process
_SINGLE = re.compile(rf"\d{{5,}}({'|'.join(map(re.escape, SUFFIXES))})").fullmatch
