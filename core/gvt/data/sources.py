"""Sources of batches: tensors on the device, or samples read one by one."""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from gvt.batch import Batch, Frame, Record, Sample, Targets
from gvt.data.collate import collate
from gvt.data.transforms import stages_of
from gvt.device.placement import Placement, usable_cores
from gvt.device.processes import local_rank, processes_here
from gvt.errors import DataError, GvtError
from gvt.fields import field_of
from gvt.interfaces import Dataset
from gvt.seeding import derive, seeded

Keys = Iterable[tuple[int, Tensor]]
"""The epoch and the sample indices, (N,) int64, of each batch."""


class Resident:
    """Whole tensors on the device, in the dtypes in which the data set stores them."""

    def __init__(self, dataset: Any, placement: Placement) -> None:
        inputs, targets = dataset.tensors()
        where = f"{type(dataset).__name__}.tensors() returned"
        images = inputs.get("image")
        if images is not None and (images.dtype != torch.uint8 or images.ndim != 4):
            raise DataError(
                f"{where} images of {images.dtype} and shape {tuple(images.shape)}; they should be "
                "uint8, (N, C, H, W)"
            )
        ragged = [key for key in (*inputs, *targets) if not field_of(key).is_dense]
        if ragged:
            raise DataError(f"{where} {', '.join(sorted(ragged))}, which cannot be whole tensors")
        self._dataset, self._placement = dataset, placement
        self._inputs, self._targets = (
            {k: v.to(placement.device) for k, v in part.items()} for part in (inputs, targets)
        )

    def batches(self, keys: Keys) -> Iterator[Batch]:
        """Yield the batches of these keys, on the device."""
        return itertools.starmap(self.batch, keys)

    def batch(self, epoch: int, indices: Tensor) -> Batch:
        """Return the batch of these indices, on the device; it is the same in each epoch."""
        rows = indices.to(self._placement.device)
        inputs, targets = (
            {k: field_of(k).on_device(v[rows], self._placement) for k, v in part.items()}
            for part in (self._inputs, self._targets)
        )
        frame = Frame.of(inputs["image"]) if "image" in inputs else Frame()
        return Batch(inputs, frame, Targets(targets), _LazyRecords(self._dataset, indices))


class Streamed:
    """Batches of samples that are read one by one, by this process or by workers.

    The randomness of a sample is a function of (seed, epoch, index), so the number of workers does
    not change the result.

    Args:
        dataset: The data set.
        placement: The device that batches are moved to.
        workers: Number of worker processes; 0 reads in this process.
        transform: Transform of each sample, as `build_transforms` returns it.
        seed: Seed of the transforms.
    """

    def __init__(
        self,
        dataset: Dataset,
        placement: Placement,
        workers: int = 0,
        transform: Callable[..., Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._samples = _SeededSamples(dataset, transform, seed)
        self._placement, self._workers = placement, workers
        _check_cores(workers)

    def batches(self, keys: Keys) -> Iterator[Batch]:
        """Yield the batches of these keys, on the device."""
        for batch in self._read(keys):
            yield self._moved(batch)

    def batch(self, epoch: int, indices: Tensor) -> Batch:
        """Return the batch of these indices, on the device, read by this process.

        Raises:
            GvtError: If a sample cannot be read.
        """
        return self._moved(self._samples[[(epoch, index) for index in indices.tolist()]])

    def _moved(self, batch: Batch | GvtError) -> Batch:
        if isinstance(batch, GvtError):
            raise batch
        return _on_device(batch, self._placement)

    def _read(self, keys: Keys) -> Iterator[Any]:
        """Return an iterator over batches, whose workers start to read ahead.

        No variable of a caller may hold it: the traceback of an error would keep its workers alive.
        """
        batches = ([(epoch, index) for index in indices.tolist()] for epoch, indices in keys)
        with warnings.catch_warnings():  # `_check_cores` warns instead, once
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            return iter(
                DataLoader(
                    self._samples,
                    batch_size=None,  # an item is a batch already
                    sampler=batches,
                    num_workers=self._workers,
                    # Without a generator, `iter` draws from the default one.
                    generator=torch.Generator().manual_seed(0),
                    pin_memory=self._placement.device.type == "cuda",
                    worker_init_fn=_leave_signals_to_the_loop,
                )
            )


class _LazyRecords(Sequence[Record]):
    """Records that are built on access, since training steps do not use them."""

    def __init__(self, dataset: Any, indices: Tensor) -> None:
        self._dataset, self._indices = dataset, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        indices = self._indices[index]
        if isinstance(index, slice):
            return _LazyRecords(self._dataset, indices)
        return self._dataset.record(int(indices))


class _SeededSamples(TorchDataset[Batch | GvtError]):
    """Batches by the (epoch, index) of each sample, which has its own random state."""

    def __init__(self, dataset: Dataset, transform: Callable[..., Any] | None, seed: int) -> None:
        self._dataset, self._stages, self._seed = dataset, stages_of(transform), seed

    def __getitem__(self, keys: Sequence[tuple[int, int]]) -> Batch | GvtError:
        """Return a batch, or its error: one raised in a worker would arrive as a traceback."""
        last = len(self._stages) - 1
        try:
            return collate([self._read(last, index, epoch, index) for epoch, index in keys])
        except GvtError as error:
            return error

    def _read(self, stage: int, index: int, *place: int) -> Sample:
        """Return a sample after the transforms up to a stage, which are seeded by a place.

        Raises:
            GvtError: If the sample cannot be read.
        """
        # The numbers of the further samples of each stage are its own, and so are their places.
        numbers = itertools.count(stage - 1, max(len(self._stages) - 1, 1))

        def another() -> Sample:
            index = int(torch.randint(len(self._dataset), ()))
            return self._read(stage - 1, index, *place, next(numbers))

        try:
            with seeded(derive(self._seed, "mosaic" * stage or "sample", *place)):
                sample = self._read(stage - 1, index, *place) if stage else self._dataset[index]
                return self._stages[stage](sample, another)
        except GvtError:
            raise
        except Exception as error:
            line = " ".join(f"sample {index}: {type(error).__name__}: {error}".split())
            raise DataError(line, details=traceback.format_exc()) from error


@cache  # once in a process
def _check_cores(workers: int) -> None:
    """Warn if all processes on this machine have more workers than it has cores."""
    count, cores = workers * processes_here(), usable_cores()
    if count > cores and local_rank() == 0:
        each = f" for each of {processes_here()} processes" if processes_here() > 1 else ""
        warnings.warn(
            f"data.workers={workers}{each}: this machine has only {cores} "
            f"core{'s' if cores > 1 else ''}; more workers than cores seldom read faster",
            stacklevel=2,
        )


def _leave_signals_to_the_loop(worker: int) -> None:
    # Ctrl-C reaches the whole process group, and so do a SIGTERM of systemd or Slurm and the
    # SIGHUP of a closed terminal; the loop still needs the batches of this step. Workers end when
    # their parent does.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@atexit.register
def _end_workers() -> None:
    """Kill workers that are left at exit, such as after an error whose traceback holds a loader.

    Python sends them SIGTERM, which they ignore, and waits for them.
    """
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def _on_device(batch: Batch, place: Placement) -> Batch:
    def moved(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: field_of(key).on_device(value, place) for key, value in values.items()}

    inputs, targets = moved(batch.inputs), batch.targets
    if targets is not None:
        targets = replace(targets, dense=moved(targets.dense), ragged=moved(targets.ragged))
    return replace(batch, inputs=inputs, targets=targets)
