"""Several processes as one: who I am among them, and what we agree on.

Gradients are averaged in one flat all-reduce a phase (as StyleGAN3 does), with no wrapper around
the task: a task whose phases use parts of it would need DDP's search for unused parameters.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The processes of this run; the default is this one alone."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether any process says so; all get the same answer."""
        if self.size == 1:
            return flag
        votes = torch.tensor([float(flag)])  # on the CPU, so that no accelerator is waited for
        dist.all_reduce(votes)
        return bool(votes.item())

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes.

        A parameter without a gradient counts as zero, unless it has none anywhere: then it keeps
        none, so that an optimiser with weight decay leaves it alone.
        """
        if self.size == 1 or not parameters:
            return
        anywhere = torch.tensor([float(p.grad is not None) for p in parameters])
        dist.all_reduce(anywhere)
        flat = torch.cat([_flat_gradient(p) for p in parameters])
        dist.all_reduce(flat)
        means = torch.split(flat, [p.numel() for p in parameters])
        for parameter, mean, somewhere in zip(parameters, means, anywhere.tolist(), strict=True):
            if somewhere:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                parameter.grad.copy_(mean.view(parameter.shape)).div_(self.size)

    def share_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values of these tensors."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def add(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over the processes; one that lacks a key adds nothing to it."""
        if self.size == 1:
            return dict(values)
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, dict(values))
        keys = dict.fromkeys(key for of_one in gathered for key in of_one)
        return {key: sum(of_one.get(key, 0.0) for of_one in gathered) for key in keys}


def local_rank() -> int:
    """Return which of this machine's processes this is, as torchrun numbers them."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def processes_here() -> int:
    """Return how many processes of the run share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def world() -> Iterator[World]:
    """Join the other processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        yield World()
        return
    joined = not dist.is_initialized()
    if joined:
        dist.init_process_group()  # gloo for the CPU, and what fits for an accelerator
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        if joined:
            dist.destroy_process_group()


def _flat_gradient(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros(parameter.numel(), dtype=torch.float32, device=parameter.device)
    return gradient.reshape(-1).to(torch.float32)
