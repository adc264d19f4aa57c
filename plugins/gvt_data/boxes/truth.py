"""The ground truth of an image in its original pixels, used by evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .annotation import Thing
from .outlines import drawn, filled


@dataclass(frozen=True)
class Truth:
    """The ground truth of an image before any transform; a call returns it as targets.

    The targets are `boxes` (M, 4), `labels` (M,), `ignored` (M,) bool, and `masks` (M, H, W) uint8
    if `masks` is set. The mask of an ignored object without an outline is its box.

    Attributes:
        things: The objects in pixels, including ignored ones.
        labels: (M,) int64, class indices.
        size: The image's (H, W).
        masks: Whether to return masks; all objects that are not ignored then have outlines.
    """

    things: tuple[Thing, ...]
    labels: NDArray[np.int64]
    size: tuple[int, int]
    masks: bool

    def __call__(self) -> dict[str, Tensor]:
        boxes = torch.tensor([thing.box for thing in self.things], dtype=torch.float64)
        targets = {
            "boxes": boxes.float().reshape(-1, 4),
            "labels": torch.tensor(self.labels),
            "ignored": torch.tensor([thing.ignored for thing in self.things], dtype=torch.bool),
        }
        if self.masks:
            masks = np.zeros((len(self.things), *self.size), np.uint8)
            for mask, thing in zip(masks, self.things, strict=True):
                outline, box = thing.outline, thing.box
                mask[:] = drawn(outline, self.size) if outline else filled(box, self.size)
            targets["masks"] = torch.from_numpy(masks)
        return targets
