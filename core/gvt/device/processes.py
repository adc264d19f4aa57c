"""Distributed training with several processes.

Gradients are averaged by one flat all-reduce per phase, as in StyleGAN3. The task is not wrapped
in DDP, which would have to search for unused parameters, since a phase uses parts of the task.
The gradients of sharded parameters (`gvt.device.sharding`) are averaged in the backward pass.

Processes meet at a store of torch.distributed. A process that fails writes the reason there, so
that the other processes can report it instead of a closed connection.

Every method of `World` that exchanges data has to be called by all processes, in the same order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, count, product, repeat
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gvt.device.placement import Placement
from gvt.device.sharding import is_sharded, shard_networks
from gvt.errors import ConfigError, GvtError, ProcessError

if TYPE_CHECKING:  # not in all builds of torch
    from torch.distributed.distributed_c10d import Store

TIMEOUT = 10.0
"""Default minutes that processes wait for each other."""

GRACE_SECONDS = 5.0
"""Seconds that a process waits for the states of the others after one was lost."""

_CONNECTION_PHRASES = ("gloo", "NCCL", "by peer", "imed out", "timeout", "onnection")
T = TypeVar("T")

_counter = count()
_stores: list[Store] = []


@dataclass(frozen=True)
class World:
    """The processes of this run; by default only this one.

    Attributes:
        rank: Rank of this process.
        size: Number of processes.
        store: Store for the reasons of failures; None if there is none.
        timeout: Minutes that processes wait for each other.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None
    timeout: float = TIMEOUT

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which writes the files of the run."""
        return self.rank == 0

    @staticmethod
    def current() -> World:
        """Return the processes that compute together now, for a metric or a tool without a run."""
        if not (dist.is_available() and dist.is_initialized()):
            return World()
        return World(dist.get_rank(), dist.get_world_size())

    def place(self, task: nn.Module, placement: Placement, shard: bool = False) -> None:
        """Move a task to the device, with the weights of the first process; shard its networks.

        Args:
            task: The task.
            placement: Device and memory format.
            shard: Whether each process keeps only its share of the networks' parameters, if there
                are several processes.

        Raises:
            ConfigError: If sharded weights would not be contiguous.
        """
        is_shared = shard and self.size > 1
        if is_shared and placement.memory_format != "contiguous":
            raise ConfigError("train.shard: sharded weights need train.memory_format=contiguous")
        self.share(task.state_dict().values())
        if is_shared:  # before the task is moved, which may be too large for one device
            shard_networks(task, placement.device.type, self.size)
        placement.place(task)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others, in place."""
        if self.size > 1:
            with self.together():
                for tensor in tensors:
                    dist.broadcast(tensor.data, src=0)

    def reduce(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradient of each parameter that is not sharded by its mean over processes.

        A missing gradient counts as zero. If it is missing in all processes it remains None, so
        that an optimiser with weight decay does not change the parameter.
        """
        whole = [p for p in parameters if not is_sharded(p)] if self.size > 1 else []
        if not whole:
            return
        counts = torch.tensor([float(p.grad is not None) for p in whole])
        gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in whole)
        flat = torch.cat([gradient.reshape(-1).to(torch.float32) for gradient in gradients])
        with self.together():
            dist.all_reduce(counts)
            dist.all_reduce(flat)
        means = torch.split(flat, [p.numel() for p in whole])
        for parameter, mean, owners in zip(whole, means, counts.tolist(), strict=True):
            if owners:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                parameter.grad.copy_(mean.view(parameter.shape)).div_(self.size)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over the processes."""
        values = values / self.size
        if self.size > 1:
            with self.together():
                dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process; the result is the same in all."""
        if self.size == 1:
            return flag
        votes = torch.tensor([float(flag)])  # on the CPU, to not synchronise an accelerator
        with self.together():
            dist.all_reduce(votes)
        return bool(votes.item())

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes by rank; they are pickled."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with self.together():
            dist.all_gather_object(values, value)
        return values

    def add(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over the processes; a missing key counts as zero."""
        rows = self.gather(dict(values))
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: sum(row.get(key, 0.0) for row in rows) for key in keys}

    def in_step(self, batches: Iterable[T], spare: T) -> Iterator[tuple[T, bool]]:
        """Yield batches, and whether each is one of this process, as many in every process.

        Args:
            batches: The batches of this process.
            spare: Batch for a process that has no more.
        """
        for batch in chain(batches, repeat(None)):
            if not self.any(batch is not None):
                return
            yield (spare, False) if batch is None else (batch, True)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Report which process is missing, and why, if a collective inside fails.

        Raises:
            ProcessError: Instead of the error of torch.distributed.
        """
        try:
            yield
        except RuntimeError as error:
            is_memory = isinstance(error, torch.OutOfMemoryError)
            is_lost = any(phrase in str(error) for phrase in _CONNECTION_PHRASES)
            if self.size == 1 or is_memory or not is_lost:
                raise
            raise ProcessError(self._explanation(error)) from error

    def leave(self, error: BaseException) -> None:
        """Store why this process fails, unless it fails because of another one."""
        if self.store is not None and not isinstance(error, ProcessError):
            reason = str(error) if isinstance(error, GvtError) else ""
            reason = reason or f"{type(error).__name__}: {error}".removesuffix(": ")
            with suppress(RuntimeError):  # the process of the store may have ended
                self.store.set(f"failed/{self.rank}", " ".join(reason.split()))

    def _explanation(self, error: RuntimeError) -> str:
        """Return which processes are missing and why, after a collective failed."""
        is_timeout = "imed out" in str(error)
        states = self._states(is_timeout)
        reasons = {rank: why for rank, (state, why) in states.items() if state == "failed"}
        absent = [rank for rank, (state, _) in states.items() if state == "absent"]
        if reasons:
            lines = [f"process {n} of {self.size} failed: {why}" for n, why in reasons.items()]
        elif absent:
            how = "ended without an error: it was killed, or its machine is down"
            if is_timeout:
                how = f"did not answer within {self.timeout:g} minutes (train.timeout)"
            lines = [f"process {rank} of {self.size} {how}" for rank in absent]
        elif is_timeout or any(why == "late" for _, why in states.values()):
            lines = [
                f"the processes waited for each other longer than {self.timeout:g} minutes; raise "
                "train.timeout if a step, an evaluation or a report may take so long"
            ]
        else:
            lines = [f"the processes lost their connection: {error}"]
        return "; ".join(lines)

    def _states(self, is_timeout: bool) -> dict[int, tuple[str, str]]:
        """Return the states of the other processes by rank, after a collective failed.

        A state is `failed` with the reason, `present` with `late` if that process timed out, too,
        or `absent`.
        """
        states = {rank: ("absent", "") for rank in range(self.size) if rank != self.rank}
        if self.store is None:
            return states if self.size == 2 else {}
        try:
            self.store.set(f"present/{self.rank}", "late" if is_timeout else "")
            deadline = time.monotonic() + GRACE_SECONDS
            while ("absent", "") in states.values() and time.monotonic() < deadline:
                for rank, state in product(tuple(states), ("failed", "present")):
                    key = f"{state}/{rank}"
                    if states[rank][0] == "absent" and self.store.check([key]):
                        states[rank] = (state, self.store.get(key).decode())
                time.sleep(0.05)
        except RuntimeError:  # the store was in the first process, which has ended
            return {0: ("absent", "")}
        return states


def local_rank() -> int:
    """Return the rank of this process on its machine, as set by torchrun."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def processes_here() -> int:
    """Return the number of processes of the run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def world(timeout: float = TIMEOUT) -> Iterator[World]:
    """Join the processes that torchrun started, if there are several.

    Args:
        timeout: Minutes that processes wait for each other.

    Raises:
        ProcessError: If not all processes join.
    """
    is_new = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    processes = _join(timeout) if is_new else World.current()
    try:
        yield processes
    except BaseException as error:
        processes.leave(error)
        raise
    finally:
        if is_new:
            dist.destroy_process_group()


def _join(timeout: float) -> World:
    """Join the process group that torchrun describes in the environment.

    Raises:
        ProcessError: If not all processes join.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    limit = timedelta(minutes=timeout)
    prefix = f"gvt/run/{next(_counter)}"  # each run of this process has keys of its own
    try:
        if not _stores:  # all runs of this process share one
            _stores.append(next(rendezvous("env://", timeout=limit))[0])
        store = _stores[0]
        store.set_timeout(limit)
        # The default backend is gloo for the CPU, and the one that fits for an accelerator.
        group = PrefixStore(f"{prefix}/group", store)
        dist.init_process_group(store=group, rank=rank, world_size=size, timeout=limit)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ProcessError(
            f"not all {size} processes joined within {timeout:g} minutes: {reason}"
        ) from error
    return World(rank, size, PrefixStore(f"{prefix}/reasons", store), timeout)
