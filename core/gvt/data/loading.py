"""Training batches in their order, and passes over held-out data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from gvt.batch import Batch
from gvt.config.schema import DataConfig, TrainConfig
from gvt.data.augmentation import BatchTransform, first_samples
from gvt.data.order import Order, Place, equally_often
from gvt.data.sources import Resident, Streamed
from gvt.data.transforms import Stage, build_transforms, stages_of
from gvt.data_info import DataInfo
from gvt.device.placement import Placement, usable_cores
from gvt.device.processes import World, processes_here
from gvt.errors import ConfigError
from gvt.interfaces import Dataset, ResidentDataset
from gvt.seeding import seeded

RESIDENT_SHARE = 0.25
"""Largest share of the free memory that a resident data set may take."""

UNKNOWN_MEMORY_LIMIT = 1 << 30
"""Bytes that a resident data set may take if the free memory is not known."""

WORKERS_PER_CORE = 4
MOST_WORKERS = 16
"""The limit is WORKERS_PER_CORE workers for each core, or MOST_WORKERS if that is more."""


class Loader:
    """Load batches: small data sets stay on the device as uint8, others are read by workers.

    Args:
        dataset: The training data.
        config: The `data` section of a recipe.
        train: Settings of the loop, for its seed and accumulation.
        placement: The device that batches are moved to.
        world: The processes that share the data.

    Attributes:
        config: The configuration with every `auto` resolved.
        order: The order of the training samples.

    Raises:
        DataError: If the data does not fill one step.
        ConfigError: If `resident=true` is not possible, or a transform is wrong.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: DataConfig,
        train: TrainConfig,
        placement: Placement,
        world: World | None = None,
    ) -> None:
        self._placement, self._world = placement, world or World()
        info = DataInfo.of(dataset)
        weights = _weights(info, config)
        settings = (config.batch_size, train.accumulate, train.seed, config.shuffle)
        self.order = Order(len(dataset), *settings, self._world.rank, self._world.size, weights)
        self.config = resolved(dataset, config, placement)
        transform = build_transforms("data.transforms", config.transforms)
        self._augmented = BatchTransform(config.batch_transforms, dataset)
        self._source = _source(dataset, self.config, placement, transform, train.seed)
        self._held_out: dict[int, HeldOut] = {}
        if transform is not None:
            _check_samples(dataset, info.image_shape, stages_of(transform))

    def groups(self, start_step: int = 0) -> Generator[list[Batch]]:
        """Yield the micro-batches of each iteration from a step on, on the device, endlessly."""
        # Two iterators over the order, since workers read ahead of the batches that are used.
        ahead, current = itertools.tee(self.order.places(start_step))
        batches = self._source.batches((place.epoch, place.indices) for place in ahead)
        placed = zip(batches, current, strict=False)
        while True:
            group = itertools.islice(placed, self.order.accumulate)
            yield [self._augmented(batch, place, self.order) for batch, place in group]

    def held_out(self, dataset: Dataset, batch_size: int | None = None) -> Iterator[Batch]:
        """Yield batches of every sample of a held-out data set, in order, without augmentation.

        Batches are distributed over the processes in turn.

        Args:
            dataset: The held-out data.
            batch_size: Samples of a batch; by default that of training.
        """
        key = id(dataset)
        if key not in self._held_out:
            self._held_out[key] = HeldOut(dataset, self.config, self._placement, self._world)
        return self._held_out[key].batches(batch_size)

    def first(self, count: int) -> Batch:
        """Return the first samples of the first epoch with their augmentation, as a batch."""
        place = Place(0, 0, self.order.epoch(0)[:count])
        return self._augmented(self._source.batch(0, place.indices), place, self.order)


class HeldOut:
    """Batches of every sample of a data set, in order, without augmentation.

    Batches are distributed over the processes in turn.

    Args:
        dataset: The data set.
        config: The `data` section of a recipe, with every `auto` resolved.
        placement: The device that batches are moved to.
        world: The processes that share the data.
    """

    def __init__(
        self, dataset: Dataset, config: DataConfig, placement: Placement, world: World | None = None
    ) -> None:
        self._count, self._batch_size = len(dataset), config.batch_size
        self._world = world or World()
        self._source = _source(dataset, config, placement)

    def batches(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Yield the batches of this process; the default size is that of the configuration."""
        size = batch_size or self._batch_size
        starts = range(self._world.rank * size, self._count, self._world.size * size)
        indices = (torch.arange(start, min(start + size, self._count)) for start in starts)
        return self._source.batches((0, batch) for batch in indices)


def _source(
    dataset: Dataset,
    config: DataConfig,
    placement: Placement,
    transform: Callable[..., Any] | None = None,
    seed: int = 0,
) -> Resident | Streamed:
    if config.resident is True and isinstance(dataset, ResidentDataset):
        return Resident(dataset, placement)
    return Streamed(dataset, placement, int(config.workers), transform, seed)


def _weights(info: DataInfo, config: DataConfig) -> Tensor | None:
    """Return the sampling weight of each sample, (N,) float64; None to draw each once.

    Raises:
        ConfigError: If the weights of the data set are not valid, if it has no `labels` to balance
            by, or if weights are combined with `balance` or with `shuffle=false`.
    """
    name, weights, labels, count = config.name, info.weights, info.labels, info.samples
    if weights is None:
        if not config.balance:
            return None
        if labels is None or len(labels) != count:
            raise ConfigError(
                f"data.balance: {name} has no class for each of its samples (attribute labels)"
            )
        return equally_often(labels)
    if config.balance:
        raise ConfigError(f"data.balance: {name} has sampling weights of its own; remove balance")
    if weights.shape != (count,) or not bool((weights >= 0).all() and weights.sum() > 0):
        raise ConfigError(f"data: the weights of {name} should be one number >= 0 for each sample")
    if not config.shuffle:
        raise ConfigError(
            f"data.shuffle: {name} draws samples at random by its weights; set shuffle=true"
        )
    return weights


def _check_samples(dataset: Dataset, size: Sequence[int] | None, stages: list[Stage]) -> None:
    """Check transforms that compose samples, or keep a size, on a sample of each part of the data.

    Raises:
        ConfigError: If one cannot be composed, or an image no longer has the size (C, H, W) that
            models are built for and evaluated at.
    """
    if size is None and len(stages) == 1:
        return
    for first in first_samples(dataset):
        with seeded(0):
            sample = reduce(lambda made, stage: stage(made, lambda: made), stages, first)
        if size is not None and (shape := tuple(sample.image.shape)) != size:
            raise ConfigError(
                f"data.transforms: they turn images {size} into {shape}, but evaluation "
                "uses the former; use transforms that keep the size"
            )


def resolved(dataset: Dataset, config: DataConfig, placement: Placement) -> DataConfig:
    """Return the configuration with every `auto` replaced by its value.

    Raises:
        ConfigError: If `resident=true` but the data set has no `tensors()`, or there are more
            workers than the machine's limit.
    """
    if config.resident is True and not isinstance(dataset, ResidentDataset):
        raise ConfigError(
            f"data.resident: {config.name} is not available as whole tensors; set it to false"
        )
    reads = config.transforms or config.workers not in ("auto", 0)
    fits = config.resident == "auto" and not reads and _fits(dataset, placement)
    if config.resident is True or fits:
        return config.model_copy(update={"resident": True, "workers": 0})
    spare = min(8, max(0, usable_cores() // processes_here() - 1))
    workers = spare if config.workers == "auto" else config.workers
    most = max(WORKERS_PER_CORE * usable_cores(), MOST_WORKERS)
    if workers > most:
        raise ConfigError(
            f"data.workers: {workers:,} processes are too many for this machine; at most {most}: "
            f"data.workers={most}"
        )
    return config.model_copy(update={"resident": False, "workers": workers})


def _fits(dataset: Dataset, placement: Placement) -> bool:
    shape = DataInfo.of(dataset).image_shape
    if not isinstance(dataset, ResidentDataset) or shape is None:
        return False
    free = placement.free_bytes()
    size = len(dataset) * math.prod(shape)
    return size <= (UNKNOWN_MEMORY_LIMIT if free is None else RESIDENT_SHARE * free)
