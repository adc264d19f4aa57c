"""Where batches come from: the device's own memory, or samples read one by one."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Protocol, overload

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gvt.batch import DENSE_KEYS, Batch, Frame, Record, Sample, Targets
from gvt.data.collate import collate
from gvt.data.mosaic import composed
from gvt.data.transforms import transform_sample
from gvt.device.placement import Placement, usable_cores
from gvt.device.processes import local_rank, processes_here
from gvt.errors import DataError, GvtError
from gvt.interfaces import Dataset
from gvt.seeding import derive, random_source, seeded

Keys = Iterable[tuple[int, Tensor]]
"""Of each batch the epoch and the indices of its samples, (N,) int64."""


class Source(Protocol):
    """A data set, ready to be asked for batches."""

    def batches(self, keys: Keys) -> Iterator[Batch]:
        """Yield the batches of these samples, on the device."""
        ...


class Resident:
    """Whole tensors on the device, as uint8."""

    def __init__(self, dataset: Any, placement: Placement) -> None:
        images, targets = dataset.tensors()
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise DataError(
                f"{type(dataset).__name__}.tensors() gave images of {images.dtype} and shape "
                f"{tuple(images.shape)}; it takes uint8, (N, C, H, W)"
            )
        ragged = sorted(targets.keys() - DENSE_KEYS)
        if ragged:
            raise DataError(
                f"{type(dataset).__name__}.tensors() gave {', '.join(ragged)}; only "
                f"{', '.join(sorted(DENSE_KEYS))} can be whole tensors"
            )
        self._dataset, self._placement = dataset, placement
        self._images = images.to(placement.device)
        self._targets = {k: v.to(placement.device) for k, v in targets.items()}

    def batches(self, keys: Keys) -> Iterator[Batch]:
        """Yield the batches of these samples."""
        for _, indices in keys:
            yield self._batch(indices)

    def _batch(self, indices: Tensor) -> Batch:
        there = indices.to(self._images.device)
        images = self._placement.images(self._images[there])
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        return Batch(
            images=images,
            frame=Frame((canvas,) * len(indices), canvas),
            # Kept as they came, since a map of classes fits into bytes; losses take int64.
            targets=Targets({k: v[there].long() for k, v in self._targets.items()}),
            records=_LazyRecords(self._dataset, indices),
        )


class Streamed:
    """Samples read one by one, by this process or by workers, the same ones either way.

    Each sample's randomness is a function of (seed, epoch, index).

    Args:
        dataset: The data set.
        placement: Where batches go.
        workers: Processes that read; 0 is this one.
        transform: What is done to each sample.
        seed: Where randomness comes from.
        mosaic: Share of the samples that are composed of four.
    """

    def __init__(
        self,
        dataset: Dataset,
        placement: Placement,
        workers: int = 0,
        transform: Callable[..., Any] | None = None,
        seed: int = 0,
        mosaic: float = 0.0,
    ) -> None:
        self._samples = _SeededSamples(dataset, transform, seed, mosaic)
        self._placement, self._workers = placement, workers
        _check_cores(workers)

    def batches(self, keys: Keys) -> Iterator[Batch]:
        """Yield the batches of these samples, on the device."""
        for batch in self._read(keys):
            if isinstance(batch, GvtError):
                raise batch
            yield _on_device(batch, self._placement)

    def _read(self, keys: Keys) -> Iterator[Any]:
        """Return a new pass over the samples, which begins to read ahead.

        No variable of a caller's frame may hold it: an error's traceback would keep its workers.
        """
        with warnings.catch_warnings():  # it is told once, and not for every pass over a split
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            return iter(
                DataLoader(
                    self._samples,
                    batch_sampler=_Sampler(keys),
                    num_workers=self._workers,
                    collate_fn=_collate_or_error,
                    # A generator of its own: without one, `iter` draws from the default one.
                    generator=torch.Generator().manual_seed(0),
                    pin_memory=self._placement.device.type == "cuda",
                    worker_init_fn=_leave_signals_to_the_loop,
                )
            )


class _Sampler:
    """The keys of single samples, a list for each batch."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch, indices in self._keys:
            yield [(epoch, index) for index in indices.tolist()]


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


class _SeededSamples(TorchDataset[Sample | GvtError]):
    """Samples by (epoch, index), each with a randomness of its own."""

    def __init__(
        self, dataset: Dataset, transform: Callable[..., Any] | None, seed: int, mosaic: float
    ) -> None:
        self._dataset, self._transform = dataset, transform
        self._seed, self._mosaic = seed, mosaic

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: Any) -> Sample | GvtError:
        """Return the sample; an error, too, since one raised in a worker comes as its traceback."""
        epoch, index = key
        try:
            sample = self._read(index, epoch, index)
            if not self._mosaic:
                return sample
            source = random_source(self._seed, "mosaic", epoch, index)
            if float(torch.rand((), generator=source)) >= self._mosaic:
                return sample
            others = torch.randint(len(self), (3,), generator=source).tolist()
            read = [self._read(n, epoch, index, quarter) for quarter, n in enumerate(others)]
            return composed([sample, *read], source)
        except GvtError as error:
            return error

    def _read(self, index: int, *place: int) -> Sample:
        """Return a sample after its transforms, random as a place says.

        Raises:
            GvtError: If it cannot be read.
        """
        try:
            with seeded(derive(self._seed, "sample", *place)):
                sample = self._dataset[index]
                if self._transform is not None:
                    sample = transform_sample(self._transform, sample)
        except GvtError:
            raise
        except Exception as error:
            line = " ".join(f"sample {index}: {type(error).__name__}: {error}".split())
            raise DataError(line, details=traceback.format_exc()) from error
        return sample


def _collate_or_error(samples: Sequence[Sample | GvtError]) -> Batch | GvtError:
    errors = [s for s in samples if isinstance(s, GvtError)]
    if errors:
        return errors[0]
    try:
        return collate([s for s in samples if isinstance(s, Sample)])
    except GvtError as error:
        return error


@cache  # once in a process
def _check_cores(workers: int) -> None:
    """Warn of more workers than cores, those of all processes on this machine together."""
    count, cores = workers * processes_here(), usable_cores()
    if count > cores and local_rank() == 0:
        each = f" for each of {processes_here()} processes" if processes_here() > 1 else ""
        warnings.warn(
            f"data.workers={workers}{each}: this machine has {cores} "
            f"core{'s' if cores > 1 else ''} for them; more workers than cores seldom read faster",
            stacklevel=2,
        )


def _leave_signals_to_the_loop(worker: int) -> None:
    # Ctrl-C reaches the whole process group, and so do a SIGTERM of systemd or Slurm and the
    # SIGHUP of a closed terminal; the loop still wants this step's batches. Workers end by
    # themselves when their parent does.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@atexit.register
def _end_workers() -> None:
    """End workers that are left at the end, as after an error whose traceback holds their loader.

    Python asks them with a SIGTERM, which they ignore, and then waits for them.
    """
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


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
