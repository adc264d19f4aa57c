"""Where one thing ends in a picture and another begins."""

from __future__ import annotations

import numpy as np


def edges(values: np.ndarray, width: int = 1) -> np.ndarray:
    """Return which entries have another value near them, in their row or their column.

    Beyond the border lies nothing else.

    Args:
        values: (H, W).
        width: How many entries away another value may be.

    Returns:
        (H, W) bool.
    """
    found = np.zeros(values.shape, bool)
    for step in range(1, width + 1):
        differs = values[step:] != values[:-step]
        found[step:] |= differs
        found[:-step] |= differs
        differs = values[:, step:] != values[:, :-step]
        found[:, step:] |= differs
        found[:, :-step] |= differs
    return found


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """Return the outermost pixels of a mask (H, W) bool, also where it ends at the border."""
    ends: np.ndarray = edges(np.pad(mask, 1), width)
    ends[1:-1, 1:-1] &= mask
    return ends[1:-1, 1:-1]
