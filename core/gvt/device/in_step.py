"""Batches for processes that have to compute together, since their networks are sharded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import repeat

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from gvt.batch import Batch, Targets
from gvt.device.processes import World


def in_step(
    world: World, batches: Iterable[Batch], device: torch.device, is_sharded: bool
) -> Iterator[tuple[Batch, bool]]:
    """Yield batches, and whether each belongs to this process.

    If networks are sharded, all processes get the same number of batches. One that has no more
    gets its last one again, or that of another process.
    """
    if not is_sharded:
        yield from zip(batches, repeat(True))
        return
    iterator = iter(batches)
    batch = next(iterator, None)
    last = lent(world, batch, device)
    while world.any(batch is not None):
        last = last if batch is None else batch
        assert last is not None  # one of another process at first
        yield last, batch is not None
        batch = next(iterator, None)


def lent(world: World, batch: Batch | None, device: torch.device) -> Batch | None:
    """Return a batch in every process if one has a batch; all call it.

    Args:
        world: The processes.
        batch: The batch of this process, which is returned, or None.
        device: Device of the batch of another process.
    """
    if not world.any(batch is None):
        return batch
    parts = None
    if batch is not None:
        records = [replace(record, truth=None) for record in batch.records]
        parts = (batch.inputs, batch.frame, batch.targets and vars(batch.targets), records)
        parts = tree_map_only(Tensor, Tensor.cpu, parts)
    parts = next(filter(None, world.gather(parts)), None)
    if batch is not None or parts is None:
        return batch
    inputs, frame, targets, records = tree_map_only(Tensor, lambda t: t.to(device), parts)
    return Batch(inputs, frame, targets and Targets(**targets), records)
