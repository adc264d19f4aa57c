"""Batches for training and evaluation, from the device's own memory or from worker processes."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, overload

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gvt.config.schema import DataConfig
from gvt.data.collate import collate
from gvt.data.order import Order, Place
from gvt.data.transforms import build_transforms, transform_sample
from gvt.device import Placement
from gvt.errors import ConfigError, DataError, GvtError
from gvt.geometry import SPATIAL_KEYS
from gvt.interfaces import Batch, Dataset, Frame, Record, ResidentDataset, Sample, Targets
from gvt.seeding import derive, seeded

RESIDENT_SHARE = 0.25
"""A set stays on the device if it takes at most this share of the memory that is free."""


class Loader(Protocol):
    """Training batches.

    Attributes:
        order: Which samples come when.
    """

    order: Order

    def groups(self, start_step: int = 0) -> Generator[list[Batch]]:
        """Yield the micro-batches of each iteration, on the device, from one on, without end."""
        ...


def open_loader(
    dataset: Dataset, config: DataConfig, order: Order, placement: Placement
) -> tuple[Loader, DataConfig]:
    """Return a loader, and the configuration with its `auto`s resolved."""
    fits = config.resident is True or (
        config.resident == "auto"
        and not config.transforms
        and config.workers in ("auto", 0)
        and _fits(dataset, placement)
    )
    if config.resident is True and not isinstance(dataset, ResidentDataset):
        raise ConfigError(f"data.resident: {config.name} cannot be had as whole tensors")
    batch_transform = build_transforms("data.batch_transforms", config.batch_transforms)
    if fits:
        resolved = config.model_copy(update={"resident": True, "workers": 0})
        return ResidentLoader(dataset, order, placement, batch_transform), resolved
    spare = min(8, max(0, (os.cpu_count() or 1) - 1))
    workers = spare if config.workers == "auto" else config.workers
    resolved = config.model_copy(update={"resident": False, "workers": workers})
    transform = build_transforms("data.transforms", config.transforms)
    loader = WorkerLoader(dataset, order, placement, transform, batch_transform, workers)
    return loader, resolved


class ResidentLoader:
    """A whole set as tensors on the device, indexed there."""

    def __init__(
        self,
        dataset: Any,
        order: Order,
        placement: Placement,
        batch_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.order, self._placement, self._batch_transform = order, placement, batch_transform
        self._resident = _Resident(dataset, placement)

    def groups(self, start_step: int = 0) -> Generator[list[Batch]]:
        """Yield the micro-batches of each iteration, from one on, without end."""
        places = self.order.places(start_step)
        while True:
            group = list(itertools.islice(places, self.order.accumulate))
            yield [
                _augmented(self._resident.batch(p.indices), p, self.order, self._batch_transform)
                for p in group
            ]


class WorkerLoader:
    """Samples read one by one, by this process or by workers, the same ones either way.

    Each sample's randomness is a function of (seed, epoch, index).
    """

    def __init__(
        self,
        dataset: Dataset,
        order: Order,
        placement: Placement,
        transform: Callable[..., Any] | None = None,
        batch_transform: Callable[..., Any] | None = None,
        workers: int = 0,
    ) -> None:
        self.order, self._placement, self._workers = order, placement, workers
        self._batch_transform = batch_transform
        self._samples = _SeededSamples(dataset, transform, order.seed)

    def groups(self, start_step: int = 0) -> Generator[list[Batch]]:
        """Yield the micro-batches of each iteration, from one on, without end."""
        places = self.order.places(start_step)
        ahead, now = itertools.tee(places)  # the workers' sampler runs ahead of what is used
        keys = ([(p.epoch, i) for i in p.indices.tolist()] for p in ahead)
        batches = _batches(self._samples, keys, self._workers, self._placement)
        placed = zip(batches, now, strict=False)
        while True:
            yield [
                _augmented(batch, place, self.order, self._batch_transform)
                for batch, place in itertools.islice(placed, self.order.accumulate)
            ]


def evaluation_batches(
    dataset: Dataset,
    config: DataConfig,
    batch_size: int,
    placement: Placement,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Yield every sample once, in order, with nothing random done to it.

    Each of several processes gets every `world_size`-th batch.
    """
    starts = range(rank * batch_size, len(dataset), batch_size * world_size)
    chunks = [list(range(s, min(s + batch_size, len(dataset)))) for s in starts]
    if config.resident is True and isinstance(dataset, ResidentDataset):
        resident = _Resident(dataset, placement)
        for chunk in chunks:
            yield resident.batch(torch.tensor(chunk))
        return
    workers = config.workers if isinstance(config.workers, int) else 0
    samples = _SeededSamples(dataset, None, seed=0)
    keys = [[(0, i) for i in chunk] for chunk in chunks]
    yield from _batches(samples, keys, workers, placement)


class _Resident:
    """Whole tensors on the device, as uint8."""

    def __init__(self, dataset: Any, placement: Placement) -> None:
        images, targets = dataset.tensors()
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise DataError(
                f"{type(dataset).__name__}.tensors() gave images of {images.dtype} and shape "
                f"{tuple(images.shape)}; it takes uint8, (N, C, H, W)"
            )
        self._dataset, self._placement = dataset, placement
        self._images = images.to(placement.device)
        self._targets = {k: v.to(placement.device) for k, v in targets.items()}

    def batch(self, indices: Tensor) -> Batch:
        there = indices.to(self._images.device)
        images = self._placement.images(self._images[there])
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        return Batch(
            images=images,
            frame=Frame((canvas,) * len(indices), canvas),
            targets=Targets({k: v[there] for k, v in self._targets.items()}),
            records=_LazyRecords(self._dataset, indices),
        )


class _LazyRecords(Sequence[Record]):
    """Records made when they are looked at, since a training step does not."""

    def __init__(self, dataset: Any, indices: Tensor) -> None:
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return _LazyRecords(self._dataset, self._indices[index])
        record: Record = self._dataset.record(int(self._indices[index]))
        return record


class _SeededSamples(TorchDataset[Sample]):
    """Samples by (epoch, index), each with a randomness of its own."""

    def __init__(self, dataset: Dataset, transform: Callable[..., Any] | None, seed: int) -> None:
        self._dataset, self._transform, self._seed = dataset, transform, seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: Any) -> Sample:
        epoch, index = key
        with seeded(derive(self._seed, "sample", epoch, index)):
            sample = self._dataset[index]
            return sample if self._transform is None else transform_sample(self._transform, sample)


def _batches(
    samples: _SeededSamples, keys: Any, workers: int, placement: Placement
) -> Iterator[Batch]:
    """Yield the batches of these lists of (epoch, index), on the device."""
    loader = DataLoader(
        samples,
        batch_sampler=keys,
        num_workers=workers,
        collate_fn=collate,
        # A generator of its own: without one, `iter(loader)` draws from the default one.
        generator=torch.Generator().manual_seed(0),
        pin_memory=placement.device.type == "cuda",
        worker_init_fn=_leave_signals_to_the_loop,
    )
    try:
        for batch in loader:
            yield _on_device(batch, placement)
    except GvtError as error:  # from a worker it comes with the worker's traceback as its text
        last_line = str(error).rstrip().rpartition("\n")[2]
        raise type(error)(last_line.removeprefix(f"{_qualified_name(error)}: ")) from error


def _leave_signals_to_the_loop(worker: int) -> None:
    # Ctrl-C reaches the whole process group; the loop still wants this step's batches.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _qualified_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _augmented(
    batch: Batch, place: Place, order: Order, transform: Callable[..., Any] | None
) -> Batch:
    """Return the batch with its images transformed, by the randomness of (seed, epoch, batch)."""
    if transform is None:
        return batch
    spatial = [k for k in sorted(SPATIAL_KEYS) if batch.targets and k in batch.targets]
    if spatial:
        raise ConfigError(
            "data.batch_transforms: they see the images only, and this data has "
            f"{', '.join(spatial)}; use data.transforms"
        )
    key = derive(order.seed, "batch", place.epoch, place.number, order.rank)
    with seeded(key, batch.images.device):
        return replace(batch, images=transform(batch.images))


def _on_device(batch: Batch, placement: Placement) -> Batch:
    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(placement.device, non_blocking=True)
        return [moved(v) for v in value] if isinstance(value, list) else value

    targets = batch.targets and Targets(
        dense={k: moved(v) for k, v in batch.targets.dense.items()},
        ragged={k: moved(v) for k, v in batch.targets.ragged.items()},
        present=batch.targets.present,
    )
    return replace(
        batch,
        images=placement.images(batch.images),
        inputs={k: moved(v) for k, v in batch.inputs.items()},
        targets=targets,
    )


def _fits(dataset: Dataset, placement: Placement) -> bool:
    if not isinstance(dataset, ResidentDataset) or dataset.image_shape is None:
        return False
    free = placement.free_bytes()
    size = len(dataset)
    for length in dataset.image_shape:
        size *= length
    return free is None or size <= RESIDENT_SHARE * free
