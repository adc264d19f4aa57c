"""A run's pictures as numbers: what share of their energy is in which band."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .haar import BANDS, energies


def note(path: Path, step: int, pictures: Mapping[str, Tensor]) -> None:
    """Append a line of JSON: the step, and of each sheet the share of each detail band.

    Args:
        path: The file.
        step: The step that the pictures are of.
        pictures: Sheets by name, (N, C, H, W) or (rows, columns, C, H, W).
    """
    line: dict[str, object] = {"step": step}
    for name, sheet in pictures.items():
        images = sheet.flatten(0, 1) if sheet.ndim == 5 else sheet
        of_bands = energies(images).mean(dim=(0, 2))
        shares = (of_bands / of_bands.sum().clamp(min=1e-12)).tolist()
        line[name] = dict(zip(BANDS[1:], shares[1:], strict=True))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
