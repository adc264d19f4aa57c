"""Scenes: pictures composed of MNIST's digits, with everything that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from gvt import DENSE_KEYS, Record, Sample, derive

from .mnist import MNIST
from .scene import PAPER, Array, Placed, Rules, drawn, largest, planned
from .splits import SPLITS

Side = Annotated[int, Field(gt=0, le=16_384)]

Target = Literal["class", "boxes", "labels", "masks", "semantic"]

TARGETS: tuple[Target, ...] = ("class", "boxes", "labels", "masks", "semantic")

_SHARES = (0.22, 0.4)
"""The least and the greatest size of a digit, of the canvas's shorter side."""


class Scenes:
    """Handwritten digits of several sizes on textured grounds, drawn when they are asked for.

    Each picture comes with what every kind of head learns from: `class`, its largest digit;
    `boxes` (M, 4), `labels` (M,) and `masks` (M, H, W) uint8 of what is seen of each digit;
    `semantic` (H, W) uint8, the digit whose ink a pixel is, 10 where it is none's. Training takes
    MNIST's training digits, `val` and `test` its test digits. Picture i of a seed is always the
    same.

    Args:
        split: `train`, `val` or `test`.
        size: Height and width of the pictures in pixels, or both in one number.
        count: How many pictures there are to train on.
        held_out: How many there are in each of `val` and `test`.
        objects: The fewest and the most digits of a picture. One that finds no room is left out.
        digit_size: The least and the greatest height (or width, if that is greater) of a digit in
            pixels; from 0.22 to 0.4 of the shorter side unless given. All others are at most 0.8
            times as large as the largest, or of the least size.
        overlap: How much of the square around a digit that of another one may cover at most.
        rotation: The greatest angle in degrees that digits are turned by, either way.
        channels: 1 for grey, 3 for colour.
        targets: What is given; with `class` and `semantic` alone, all pictures can be kept as
            whole tensors.
        seed: Another number makes other pictures.

    Attributes:
        labels: The `class` of every picture.
        tensors: Returns all images (N, C, H, W) uint8 and the targets, where these are dense.

    Raises:
        ValueError: If a size or a range is impossible.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    background: ClassVar[bool] = True
    tensors: Callable[[], tuple[Tensor, Mapping[str, Tensor]]]

    def __init__(
        self,
        split: str,
        size: Side | tuple[Side, Side] = 128,
        count: PositiveInt = 2000,
        held_out: PositiveInt = 400,
        objects: tuple[PositiveInt, PositiveInt] = (1, 6),
        digit_size: tuple[PositiveInt, PositiveInt] | None = None,
        overlap: Annotated[float, Field(ge=0, le=1)] = 0.1,
        rotation: Annotated[float, Field(ge=0, le=180)] = 15.0,
        channels: Literal[1, 3] = 3,
        targets: list[Target] | None = None,
        seed: NonNegativeInt = 0,
    ) -> None:
        height, width = (size, size) if isinstance(size, int) else size
        short = min(height, width)
        usual = [max(1, int(share * short)) for share in _SHARES]
        least, most = digit_size or usual
        if not least <= most <= short / PAPER:
            raise ValueError(
                f"digit_size {[least, most]}: the least and the greatest, at most "
                f"{int(short / PAPER)} pixels on this canvas"
            )
        if objects[0] > objects[1]:
            raise ValueError(f"objects {list(objects)}: the fewest come before the most")
        self._rules = Rules((height, width), channels, objects, (least, most), overlap, rotation)
        digits = MNIST("train" if split == "train" else "test")
        images, targets_of = digits.tensors()
        self._glyphs, self._digits = images[:, 0].numpy(), targets_of["class"].numpy()
        self.split, self._seed = split, seed
        self._count = count if split == "train" else held_out
        self._targets = TARGETS if targets is None else tuple(targets)
        self.classes: Sequence[str] = digits.classes
        self.image_shape = (channels, height, width)
        self.labels = [int(self._digits[self._largest(index)]) for index in range(self._count)]
        if set(self._targets) <= DENSE_KEYS:
            # Only so is this a gvt.ResidentDataset: boxes differ in number.
            self.tensors = self._tensors

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, int]:
        """Return parameters for a few small pictures."""
        return {"size": 64, "count": 24, "held_out": 8}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Return one picture, (C, H, W) uint8, with its targets."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        random, plan = self._plan(index)
        numbers = [digit.number for digit in plan]
        glyphs = self._glyphs[numbers].astype(np.float32) / 255
        image, owner = drawn(random, self._rules, plan, glyphs)
        known = _known(owner, self._digits[numbers])
        targets = {str(key): known[key] for key in self._targets}
        return Sample(torch.from_numpy(image), targets, self.record(index))

    def record(self, index: int) -> Record:
        """Return the origin of one picture."""
        return Record(f"scenes {self.split} {index}", self._rules.size)

    def _plan(self, index: int) -> tuple[np.random.Generator, list[Placed]]:
        """Return a picture's digits, and what goes on to draw it."""
        random = self._random(index)
        return random, planned(random, self._rules, len(self._digits))

    def _largest(self, index: int) -> int:
        """Return the number of a picture's largest digit, among all digits."""
        return largest(self._random(index), self._rules, len(self._digits))

    def _random(self, index: int) -> np.random.Generator:
        return np.random.default_rng(derive(self._seed, "scenes", self.split, index))

    def _tensors(self) -> tuple[Tensor, Mapping[str, Tensor]]:
        samples = [self[index] for index in range(len(self))]
        images = torch.stack([sample.image for sample in samples])
        return images, {
            key: torch.stack([sample.targets[key] for sample in samples]) for key in self._targets
        }


def _known(owner: Array, digits: Array) -> dict[str, Tensor]:
    """Return what is known of a picture.

    Args:
        owner: (H, W), the place of the digit whose ink a pixel is, or -1.
        digits: (M,), which digits they are, the largest one last.
    """
    masks = owner == np.arange(len(digits))[:, None, None]
    rows, columns = masks.any(axis=2), masks.any(axis=1)
    seen = rows.any(axis=1)  # another digit may hide one
    rows, columns = rows[seen], columns[seen]
    edges = [
        columns.argmax(axis=1),
        rows.argmax(axis=1),
        columns.shape[1] - columns[:, ::-1].argmax(axis=1),
        rows.shape[1] - rows[:, ::-1].argmax(axis=1),
    ]
    background = np.uint8(10)
    return {
        "class": torch.tensor(int(digits[-1])),
        "boxes": torch.from_numpy(np.stack(edges, axis=1).astype(np.float32)),
        "labels": torch.from_numpy(digits[seen].astype(np.int64)),
        "masks": torch.from_numpy(masks[seen].view(np.uint8)),
        "semantic": torch.from_numpy(np.append(digits, background).astype(np.uint8)[owner]),
    }
