"""Objects that are annotated twice in one image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .annotation import Thing
from .outlines import drawn

SAME = 0.1
"""Pixels by which two boxes of one object may differ at each side, as files round them."""

_SAME_OUTLINE = 0.95
"""IoU from which on two masks of one box are the same outline, as files round its points."""


def duplicates(
    things: Sequence[Thing], boxes: NDArray[np.float32], size: tuple[int, int]
) -> dict[int, int]:
    """Return for each object that repeats another one which one that is, both by their indices.

    Two objects are the same if they have the same label, their boxes differ by `SAME` at most, and
    not both have an outline, or their outlines are the same. Which one stays: one that is not
    ignored before one that is, then one with an outline, then the first.

    Args:
        things: The objects of one image.
        boxes: (M, 4) their boxes, xyxy in pixels.
        size: The image's (H, W).
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, thing in enumerate(things):
        by_label[thing.label].append(index)
    twins: dict[int, int] = {}
    for indices in by_label.values():
        # Those that may stay come first; the others are then compared with these alone.
        indices.sort(key=lambda at: (things[at].ignored, not things[at].outline, at))
        kept = np.zeros((len(indices), 4), np.float32)
        originals: list[int] = []
        for index in indices:
            near = np.abs(kept[: len(originals)] - boxes[index]).max(axis=1) <= SAME
            alike = (originals[at] for at in np.flatnonzero(near))
            twin = next((o for o in alike if _same_outline(things[o], things[index], size)), None)
            if twin is None:
                kept[len(originals)] = boxes[index]
                originals.append(index)
            else:
                twins[index] = twin
    return twins


def _same_outline(one: Thing, other: Thing, size: tuple[int, int]) -> bool:
    if not one.outline or not other.outline or one.outline == other.outline:
        return True
    masks = [drawn(thing.outline, size).astype(bool) for thing in (one, other)]
    union = np.logical_or(*masks).sum()
    return bool(np.logical_and(*masks).sum() >= _SAME_OUTLINE * union)
