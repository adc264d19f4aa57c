"""Detect objects that are annotated twice in one image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .annotation import Thing
from .outlines import drawn

SAME = 0.1
"""Pixels by which the sides of two boxes of one object may differ because of rounding."""

_SAME_OUTLINE = 0.95
"""The least IoU of the masks of two outlines of one object, which differ because of rounding."""


def duplicates(
    things: Sequence[Thing], boxes: NDArray[np.float32], size: tuple[int, int]
) -> dict[int, int]:
    """Return the index of each duplicate with the index of the object that it repeats.

    Two objects are the same if they have the same label, their boxes differ by `SAME` at most, and
    their outlines are the same or one of them has none. Objects that are not ignored are kept
    before ignored ones, then those with an outline, then the first.

    Args:
        things: The objects of one image.
        boxes: (M, 4), their boxes, xyxy in pixels.
        size: The image's (H, W).
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, thing in enumerate(things):
        by_label[thing.label].append(index)
    twins: dict[int, int] = {}
    for indices in by_label.values():
        # Preferred objects come first, so each object is compared with the kept ones alone.
        indices.sort(key=lambda at: (things[at].ignored, not things[at].outline, at))
        kept = np.zeros((len(indices), 4), np.float32)
        originals: list[int] = []
        for index in indices:
            near = np.abs(kept[: len(originals)] - boxes[index]).max(axis=1) <= SAME
            candidates = (originals[at] for at in np.flatnonzero(near))
            twin = next(
                (at for at in candidates if _same_outline(things[at], things[index], size)), None
            )
            if twin is None:
                kept[len(originals)] = boxes[index]
                originals.append(index)
            else:
                twins[index] = twin
    return twins


def _same_outline(first: Thing, second: Thing, size: tuple[int, int]) -> bool:
    if not first.outline or not second.outline or first.outline == second.outline:
        return True
    masks = [drawn(thing.outline, size).astype(bool) for thing in (first, second)]
    union = np.logical_or(*masks).sum()
    return bool(np.logical_and(*masks).sum() >= _SAME_OUTLINE * union)
