"""The truth of a picture in its own pixels, which evaluation goes by."""

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
    """Called, it returns what is known of a picture before anything was done to it.

    That is `boxes` (M, 4), `labels` (M,), `ignored` (M,) bool, and perhaps `masks` (M, H, W) uint8;
    of an ignored object without an outline the mask is its box.

    Attributes:
        things: Its objects, in pixels, those that are ignored among them.
        labels: (M,) int64.
        size: Its (H, W).
        masks: Whether all objects that are not ignored have outlines, and masks are wanted.
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
                known = drawn(thing.outline, self.size) if thing.outline else None
                mask[:] = filled(thing.box, self.size) if known is None else known
            targets["masks"] = torch.from_numpy(masks)
        return targets
