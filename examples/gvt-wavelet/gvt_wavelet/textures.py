"""A synthetic data set of textures."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from gvt import Record, Sample, random_source

ANGLES = {"horizontal": math.pi / 2, "vertical": 0.0, "diagonal": math.pi / 4}


class Textures:
    """Stripes in three directions, and checks; each image is a function of its split and index.

    Args:
        split: `train`, `val` or `test`.
        size: Height and width in pixels.
        count: Images of the training split; the others have a quarter of it.
        noise: Standard deviation of the added noise.
    """

    classes: ClassVar = (*ANGLES, "checks")
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")

    def __init__(
        self, split: str, size: PositiveInt = 32, count: PositiveInt = 2000, noise: float = 0.02
    ) -> None:
        self.image_shape = (1, size, size)
        self._split, self._noise = split, noise
        self._count = count if split == "train" else math.ceil(count / 4)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """Return an image, (1, size, size) float32 in [0, 1], with its `class`."""
        if not 0 <= index < self._count:
            raise IndexError(f"texture {index} of {self._count}")
        number = index % len(self.classes)
        # Independent of the number of workers, the order and resuming.
        random = random_source(0, "textures", self._split, index)
        image = self._drawn(self.classes[number], random)
        image += self._noise * torch.randn(self.image_shape, generator=random)
        record = Record(f"textures {self._split} {index}", self.image_shape[1:])
        return Sample({"image": image.clamp(0, 1)}, {"class": torch.tensor(number)}, record)

    def _drawn(self, name: str, random: torch.Generator) -> Tensor:
        turn, phase, frequency = torch.rand(3, generator=random).tolist()
        side = torch.arange(self.image_shape[1])

        def wave(angle: float) -> Tensor:
            angle += 0.2 * (turn - 0.5)
            along = side * math.cos(angle) + side[:, None] * math.sin(angle)
            return torch.sin(along * (0.4 + 0.4 * frequency) + 2 * math.pi * phase)

        if name == "checks":
            waves = wave(ANGLES["horizontal"]) * wave(ANGLES["vertical"])
        else:
            waves = wave(ANGLES[name])
        return 0.5 + 0.4 * waves[None]
