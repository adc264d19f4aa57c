"""Training batches in their order, and passes over held-out data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gvt.batch import Batch
from gvt.config.schema import DataConfig, TrainConfig
from gvt.data.augmentation import BatchTransform, first_samples
from gvt.data.mosaic import check_mosaic
from gvt.data.order import Order, Place, equally_often
from gvt.data.sources import Resident, Source, Streamed
from gvt.data.transforms import build_transforms, mixes, transform_sample
from gvt.data_info import DataInfo
from gvt.device.placement import Placement, usable_cores
from gvt.device.processes import World, processes_here
from gvt.errors import ConfigError
from gvt.interfaces import Dataset, ResidentDataset
from gvt.seeding import seeded

RESIDENT_SHARE = 0.25
"""A set stays on the device if it takes at most this share of the memory that is free."""

UNKNOWN_MEMORY_LIMIT = 1 << 30
"""Bytes that a resident set may take where free memory cannot be asked."""

WORKERS_PER_CORE = 4
MOST_WORKERS = 16
"""A machine runs so many workers a core, or so many in all if that is more."""


class Loader:
    """Feeds a task: sets that fit stay on the device as uint8, others are read by workers.

    Args:
        dataset: The training data.
        config: How it is fed.
        train: The loop's settings, for its seed and accumulation.
        placement: Where batches go.
        world: The processes that share the data.

    Attributes:
        config: The configuration with every `auto` resolved.
        order: Which samples come when.

    Raises:
        DataError: If the data does not fill one step.
        ConfigError: If it cannot be resident though it should, or a transform is wrong.
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
        self.order = Order(
            len(dataset),
            config.batch_size,
            train.accumulate,
            train.seed,
            config.shuffle,
            self._world.rank,
            self._world.size,
            _weights(info, config),
        )
        self.config = resolved(dataset, config, placement)
        transform = build_transforms("data.transforms", config.transforms)
        if transform is not None and mixes(transform):
            raise ConfigError(
                "data.transforms: MixUp and CutMix mix the samples of a batch; name them under "
                "data.batch_transforms"
            )
        self._augmented = BatchTransform(config.batch_transforms, dataset)
        self._dataset, self._how = dataset, (transform, train.seed, config.mosaic)
        self._source = _source(dataset, self.config, placement, *self._how)
        self._held_out: dict[int, HeldOut] = {}
        if transform is not None and info.image_shape is not None:
            _check_size(dataset, info.image_shape, transform)
        if config.mosaic:
            for sample in first_samples(dataset):
                check_mosaic(sample)

    def groups(self, start_step: int = 0) -> Generator[list[Batch]]:
        """Yield the micro-batches of each iteration, on the device, from one on, without end."""
        # Workers read ahead of what is used, and with them the order.
        ahead, now = itertools.tee(self.order.places(start_step))
        batches = self._source.batches((place.epoch, place.indices) for place in ahead)
        placed = zip(batches, now, strict=False)
        while True:
            yield [
                self._augmented(batch, place, self.order)
                for batch, place in itertools.islice(placed, self.order.accumulate)
            ]

    def held_out(self, dataset: Dataset, batch_size: int | None = None) -> Iterator[Batch]:
        """Yield every sample of another set once, in order, with nothing random done to it.

        Each of several processes gets every so-many-th batch.

        Args:
            dataset: The held-out data.
            batch_size: Samples of a batch; that of the training unless given.
        """
        if id(dataset) not in self._held_out:
            self._held_out[id(dataset)] = HeldOut(
                dataset, self.config, self._placement, self._world
            )
        return self._held_out[id(dataset)].batches(batch_size)

    def first(self, count: int) -> Batch:
        """Return the first samples of the first epoch, as training sees them."""
        source = self._source
        if isinstance(source, Streamed):  # no worker is worth starting for one batch
            source = Streamed(self._dataset, self._placement, 0, *self._how)
        place = Place(0, 0, self.order.epoch(0)[:count])
        batch = next(iter(source.batches([(place.epoch, place.indices)])))
        return self._augmented(batch, place, self.order)


class HeldOut:
    """Every sample of a data set once, in order, with nothing random done to it.

    Each of several processes gets every so-many-th batch.

    Args:
        dataset: The data.
        config: How it is fed, with every `auto` resolved.
        placement: Where batches go.
        world: The processes that share the data.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: DataConfig,
        placement: Placement,
        world: World | None = None,
    ) -> None:
        self._count, self._batch_size = len(dataset), config.batch_size
        self._world = world or World()
        self._source = _source(dataset, config, placement)

    def batches(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Yield this process's batches, of the configuration's size unless given."""
        size = batch_size or self._batch_size
        starts = range(self._world.rank * size, self._count, self._world.size * size)
        indices = (torch.arange(start, min(start + size, self._count)) for start in starts)
        return self._source.batches((0, of_batch) for of_batch in indices)


def _source(
    dataset: Dataset,
    config: DataConfig,
    placement: Placement,
    transform: Callable[..., Any] | None = None,
    seed: int = 0,
    mosaic: float = 0.0,
) -> Source:
    if config.resident is True and isinstance(dataset, ResidentDataset):
        return Resident(dataset, placement)
    return Streamed(dataset, placement, int(config.workers), transform, seed, mosaic)


def _weights(info: DataInfo, config: DataConfig) -> Tensor | None:
    """Return how often each sample is drawn, (N,) float64; None for an order of all.

    Raises:
        ConfigError: If it is to be by classes and the data set does not say them, or by weights
            that are no such, or by both, or by weights in a fixed order.
    """
    weights, labels, count = info.weights, info.labels, info.samples
    if weights is not None:
        if config.balance:
            raise ConfigError(
                f"data.balance: {config.name} says by itself how often each sample is drawn"
            )
        if weights.shape != (count,) or not bool((weights >= 0).all() and weights.sum() > 0):
            raise ConfigError(f"data: {config.name} has weights that are none of its samples")
        if not config.shuffle:
            raise ConfigError(
                f"data.shuffle: {config.name} says how often each sample is drawn, which is at "
                "random; it needs shuffle=true"
            )
        return weights
    if not config.balance:
        return None
    if labels is None or len(labels) != count:
        raise ConfigError(
            f"data.balance: {config.name} has no class for each of its samples (attribute labels)"
        )
    return equally_often(labels)


def _check_size(dataset: Dataset, size: Sequence[int], transform: Callable[..., Any]) -> None:
    """Check that training keeps the size that networks are built for and evaluation sees.

    Raises:
        ConfigError: If the transforms change it.
    """
    with seeded(0):
        shape = tuple(transform_sample(transform, dataset[0]).image.shape)
    if shape != size:
        raise ConfigError(
            f"data.transforms: they turn images {size} into {shape}, and evaluation "
            "would see the former; use transforms that keep the size"
        )


def resolved(dataset: Dataset, config: DataConfig, placement: Placement) -> DataConfig:
    """Return the configuration with every `auto` replaced by what it comes to.

    Raises:
        ConfigError: If the data is to be resident and cannot be had as whole tensors, or there
            are more workers than the machine runs.
    """
    if config.resident is True and not isinstance(dataset, ResidentDataset):
        raise ConfigError(f"data.resident: {config.name} cannot be had as whole tensors")
    reads = bool(config.transforms or config.mosaic) or config.workers not in ("auto", 0)
    if config.resident is True or (
        config.resident == "auto" and not reads and _fits(dataset, placement)
    ):
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
