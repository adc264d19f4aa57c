"""A synthetic data set: scenes of MNIST's digits, with targets for all kinds of heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from gvt import Record, Sample, derive
from gvt.fields import field_of

from .mnist import MNIST
from .scene import PAPER, Array, Placed, Rules, drawn, largest, planned
from .splits import SPLITS

Side = Annotated[int, Field(gt=0, le=16_384)]

Target = Literal["class", "boxes", "labels", "masks", "semantic"]

TARGETS: tuple[Target, ...] = ("class", "boxes", "labels", "masks", "semantic")

_SHARES = (0.22, 0.4)
"""Default least and greatest size of a digit, relative to the canvas's shorter side."""


class Scenes:
    """Scenes of handwritten digits of several sizes on textured backgrounds, drawn on access.

    Each image has targets for every kind of head: `class`, the largest digit; `boxes` (M, 4),
    `labels` (M,) and `masks` (M, H, W) uint8 of the visible part of each digit; `semantic` (H, W)
    uint8, the digit that a pixel belongs to, 10 for the background. The training split uses MNIST's
    training digits, `val` and `test` its test digits. An image depends on the seed, the split and
    its index alone.

    Args:
        split: `train`, `val` or `test`.
        size: Height and width of the images in pixels, or one number for both.
        count: Number of training images.
        held_out: Number of images in each of `val` and `test`.
        objects: Least and greatest number of digits in an image. A digit without room is left out.
        digit_size: Least and greatest height (or width, if that is greater) of a digit in pixels;
            by default 0.22 and 0.4 of the shorter side. All digits but the largest have at most 0.8
            times its size, or the least size.
        overlap: Largest share of a digit's square that another digit's square may cover.
        rotation: Largest angle of a digit in degrees, in either direction.
        channels: 1 for grey, 3 for colour.
        targets: Names of the targets; all by default. With `class` and `semantic` alone, the data
            set can be resident, as whole tensors.
        seed: Seed of the images.

    Attributes:
        tensors: Function that returns all images (N, C, H, W) uint8 and the targets; absent unless
            all targets are dense.

    Raises:
        ValueError: If a size or a range is invalid.
    """

    splits: ClassVar[tuple[str, ...]] = SPLITS
    tensors: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Tensor]]]

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
        least, greatest = digit_size or [max(1, int(share * short)) for share in _SHARES]
        if not least <= greatest <= short / PAPER:
            raise ValueError(
                f"digit_size {[least, greatest]}: give the least and the greatest size, at most "
                f"{int(short / PAPER)} pixels on this canvas"
            )
        if objects[0] > objects[1]:
            raise ValueError(f"objects {list(objects)}: give the least number first")
        sizes = (least, greatest)
        self._rules = Rules((height, width), channels, objects, sizes, overlap, rotation)
        digits = MNIST("train" if split == "train" else "test")
        inputs, targets_of = digits.tensors()
        self._glyphs, self._digits = inputs["image"][:, 0].numpy(), targets_of["class"].numpy()
        self.split, self._seed = split, seed
        self._count = count if split == "train" else held_out
        self._targets = TARGETS if targets is None else tuple(targets)
        labels = [int(self._digits[self._largest(index)]) for index in range(self._count)]
        self.info = replace(
            digits.info,
            image_shape=(channels, height, width),
            background=True,
            labels=torch.tensor(labels),
        )
        if all(field_of(key).is_dense for key in self._targets):
            # This makes it a gvt.ResidentDataset, which needs targets of one shape.
            self.tensors = self._tensors

    @staticmethod
    def gvt_example(folder: Path) -> dict[str, int]:
        """Return parameters for a few small images."""
        return {"size": 64, "count": 24, "held_out": 8}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Return an image, (C, H, W) uint8, with its targets."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        random, plan = self._plan(index)
        numbers = [digit.number for digit in plan]
        glyphs = self._glyphs[numbers].astype(np.float32) / 255
        image, owner = drawn(random, self._rules, plan, glyphs)
        targets = _targets_of(owner, self._digits[numbers])
        kept = {str(key): targets[key] for key in self._targets}
        return Sample({"image": torch.from_numpy(image)}, kept, self.record(index))

    def record(self, index: int) -> Record:
        """Return the origin of an image."""
        return Record(f"scenes {self.split} {index}", self._rules.size)

    def _plan(self, index: int) -> tuple[np.random.Generator, list[Placed]]:
        """Return the digits of an image, and the random generator to draw it with."""
        random = self._random(index)
        return random, planned(random, self._rules, len(self._digits))

    def _largest(self, index: int) -> int:
        """Return the number in MNIST of an image's largest digit."""
        return largest(self._random(index), self._rules, len(self._digits))

    def _random(self, index: int) -> np.random.Generator:
        return np.random.default_rng(derive(self._seed, "scenes", self.split, index))

    def _tensors(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        samples = [self[index] for index in range(len(self))]
        images = torch.stack([sample.image for sample in samples])
        return {"image": images}, {
            key: torch.stack([sample.targets[key] for sample in samples]) for key in self._targets
        }


def _targets_of(owner: Array, digits: Array) -> dict[str, Tensor]:
    """Return all targets of an image.

    Args:
        owner: (H, W), index of the digit that a pixel belongs to, or -1.
        digits: (M,), classes of the digits, the largest digit last.
    """
    masks = owner == np.arange(len(digits))[:, None, None]
    rows, columns = masks.any(axis=2), masks.any(axis=1)
    visible = rows.any(axis=1)  # a digit may be hidden by another
    rows, columns = rows[visible], columns[visible]
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
        "labels": torch.from_numpy(digits[visible].astype(np.int64)),
        "masks": torch.from_numpy(masks[visible].view(np.uint8)),
        "semantic": torch.from_numpy(np.append(digits, background).astype(np.uint8)[owner]),
    }
