"""The order of the training samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gvt.errors import DataError
from gvt.seeding import random_source


@dataclass(frozen=True)
class Place:
    """The place of a micro-batch: epoch, number within the epoch, and sample indices (B,)."""

    epoch: int
    number: int
    indices: Tensor


@dataclass(frozen=True)
class Order:
    """The order of the training samples, the same for any number of processes and workers.

    An iteration takes `accumulate` micro-batches of `batch_size` samples on each of `world_size`
    processes. Samples after the last whole iteration of an epoch are dropped.

    Attributes:
        weights: Sampling weights, (count,): each epoch draws `count` samples with replacement.

    Raises:
        DataError: If the data does not fill one iteration.
    """

    count: int
    batch_size: int
    accumulate: int = 1
    seed: int = 0
    shuffle: bool = True
    rank: int = 0
    world_size: int = 1
    weights: Tensor | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.count < self.samples_per_step:
            raise DataError(
                f"the data has {self.count} samples, one step takes {self.samples_per_step}; "
                "lower data.batch_size or train.accumulate"
            )

    @property
    def samples_per_step(self) -> int:
        """Samples of one iteration, over all processes."""
        return self.batch_size * self.accumulate * self.world_size

    @property
    def steps_per_epoch(self) -> int:
        """Whole iterations in an epoch."""
        return self.count // self.samples_per_step

    def epoch(self, epoch: int) -> Tensor:
        """Return the order of one epoch, (count,) int64."""
        if not self.shuffle:
            return torch.arange(self.count)
        source = random_source(self.seed, "order", epoch)
        if self.weights is None:
            return torch.randperm(self.count, generator=source)
        # Not torch.multinomial, which is limited to 2**24 samples.
        ends = self.weights.double().cumsum(0)
        share = torch.rand(self.count, dtype=torch.float64, generator=source)
        drawn = torch.searchsorted(ends, share * ends[-1], right=True)
        # A share may be rounded to 1; the last samples may have weight 0.
        return drawn.clamp(max=int(self.weights.nonzero().max()))

    def places(self, start_step: int = 0) -> Iterator[Place]:
        """Yield the micro-batches of this process from an iteration on, endlessly."""
        epoch, first = divmod(start_step, self.steps_per_epoch)
        while True:
            order = self.epoch(epoch)
            for step in range(first, self.steps_per_epoch):
                for micro in range(self.accumulate):
                    number = step * self.accumulate + micro
                    begin = (number * self.world_size + self.rank) * self.batch_size
                    yield Place(epoch, number, order[begin : begin + self.batch_size])
            epoch, first = epoch + 1, 0


def equally_often(labels: Tensor) -> Tensor:
    """Return sampling weights, (N,) float64, that draw each class equally often.

    Args:
        labels: The class of each sample, (N,) int64.
    """
    return torch.bincount(labels).double().reciprocal()[labels]
