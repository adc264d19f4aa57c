"""Record the wavelet energies of the pictures of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from gvt import Shown

from .haar import BANDS, energies


def note(path: Path, step: int, pictures: Mapping[str, Shown]) -> None:
    """Append a line of JSON with the step, and the energy share of each detail band by sheet.

    Args:
        path: The file.
        step: The step at which the pictures were drawn.
        pictures: Sheets of images by name.
    """
    line: dict[str, object] = {"step": step}
    for name, shown in pictures.items():
        sheet: Tensor = shown.value  # (N, C, H, W) or (rows, columns, C, H, W)
        images = sheet.flatten(0, 1) if sheet.ndim == 5 else sheet
        totals = energies(images).mean(dim=(0, 2))
        shares = (totals / totals.sum().clamp(min=1e-12)).tolist()
        line[name] = dict(zip(BANDS[1:], shares[1:], strict=True))
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
