"""Distributed training with several processes.

Gradients are averaged by one flat all-reduce per phase, as in StyleGAN3. The task is not wrapped
in DDP, which would have to search for unused parameters, since a phase uses parts of the task.

Processes meet at a store of torch.distributed. A process that fails writes the reason there, so
that the other processes can report it instead of a closed connection.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gvt.errors import GvtError, ProcessError

if TYPE_CHECKING:  # not in all builds of torch
    from torch.distributed.distributed_c10d import Store

TIMEOUT = 10.0
"""Default minutes that processes wait for each other."""

GRACE_SECONDS = 5.0
"""Seconds that a process waits for the states of the others after one was lost."""

_CONNECTION_PHRASES = ("gloo", "NCCL", "by peer", "imed out", "timeout", "onnection")
_counter = itertools.count()
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

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process; the result is the same in all."""
        if self.size == 1:
            return flag
        votes = torch.tensor([float(flag)])  # on the CPU, to not synchronise an accelerator
        with self.together():
            dist.all_reduce(votes)
        return bool(votes.item())

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes.

        A missing gradient counts as zero. If it is missing in all processes it remains None, so
        that an optimiser with weight decay does not change the parameter.
        """
        if self.size == 1 or not parameters:
            return
        counts = torch.tensor([float(p.grad is not None) for p in parameters])
        gradients = (torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)
        flat = torch.cat([gradient.reshape(-1).to(torch.float32) for gradient in gradients])
        with self.together():
            dist.all_reduce(counts)
            dist.all_reduce(flat)
        means = torch.split(flat, [p.numel() for p in parameters])
        for parameter, mean, count in zip(parameters, means, counts.tolist(), strict=True):
            if count:
                if parameter.grad is None:
                    parameter.grad = torch.empty_like(parameter)
                parameter.grad.copy_(mean.view(parameter.shape)).div_(self.size)

    def share_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of the first process to all others, in place."""
        if self.size > 1:
            with self.together():
                for tensor in tensors:
                    dist.broadcast(tensor.data, src=0)

    def add(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over the processes; a missing key counts as zero."""
        if self.size == 1:
            return dict(values)
        rows = self._gather(dict(values))
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: sum(row.get(key, 0.0) for row in rows) for key in keys}

    def earliest(self, problem: tuple[int, str] | None) -> str:
        """Return the message of the earliest problem in any process; it is the same in all.

        Args:
            problem: Step and message of the problem in this process, if there is one.

        Returns:
            The message, with the rank of its process; empty if there is no problem.
        """
        if self.size == 1:
            return problem[1] if problem else ""
        if not self.any(problem is not None):
            return ""
        problems = self._gather(problem)
        _, rank = min((entry[0], rank) for rank, entry in enumerate(problems) if entry)
        return f"process {rank} of {self.size}: {problems[rank][1]}"

    def _gather(self, value: object) -> list[Any]:
        """Return the values of all processes, by rank."""
        values: list[Any] = [None] * self.size
        with self.together():
            dist.all_gather_object(values, value)
        return values

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
    if not _is_one_of_several():
        yield World()
        return
    is_new = not dist.is_initialized()
    processes = _join(timeout) if is_new else World(dist.get_rank(), dist.get_world_size())
    try:
        yield processes
    except BaseException as error:
        processes.leave(error)
        raise
    finally:
        if is_new:
            dist.destroy_process_group()


@contextmanager
def first_enters(context: AbstractContextManager[object]) -> Iterator[None]:
    """Enter a context in the first process only, while the others wait.

    Raises:
        ProcessError: In the other processes, if the first one fails to enter it or does not join.
    """
    if not _is_one_of_several():
        with context:
            yield
        return
    rank = dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"])
    with ExitStack() as stack:
        if rank == 0:
            try:
                stack.enter_context(context)
            except Exception as error:
                _from_first(str(error) or type(error).__name__)
                raise
        reason = _from_first("" if rank == 0 else None)
        if reason:
            raise ProcessError(f"process 0 failed: {reason}")
        yield


def _is_one_of_several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 or dist.is_initialized()


def _from_first(text: str | None) -> str:
    """Return the text that the first process passes; the others pass None."""
    if dist.is_initialized():
        texts = [text]
        dist.broadcast_object_list(texts, src=0)
        return str(texts[0])
    store, key = _store(TIMEOUT), f"gvt/from_first/{next(_counter)}"
    if text is not None:
        store.set(key, text)
        return text
    try:
        return str(store.get(key).decode())
    except RuntimeError as error:
        raise ProcessError(f"process 0 did not join within {TIMEOUT:g} minutes") from error


def _join(timeout: float) -> World:
    """Join the process group that torchrun describes in the environment."""
    from torch.distributed.distributed_c10d import PrefixStore

    store = _store(timeout)
    prefix = f"gvt/run/{next(_counter)}"  # each run of this process has keys of its own
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        # The default backend is gloo for the CPU, and the one that fits for an accelerator.
        dist.init_process_group(
            store=PrefixStore(f"{prefix}/group", store),
            rank=rank,
            world_size=size,
            timeout=timedelta(minutes=timeout),
        )
    except RuntimeError as error:
        raise _join_error(timeout, error) from error
    return World(rank, size, PrefixStore(f"{prefix}/reasons", store), timeout)


def _store(timeout: float) -> Store:
    """Return the store of all processes, which all runs of this process share."""
    from torch.distributed.rendezvous import rendezvous

    if not _stores:
        try:
            store, _, _ = next(rendezvous("env://", timeout=timedelta(minutes=timeout)))
        except RuntimeError as error:
            raise _join_error(timeout, error) from error
        _stores.append(store)
    _stores[0].set_timeout(timedelta(minutes=timeout))
    return _stores[0]


def _join_error(timeout: float, error: Exception) -> ProcessError:
    size = os.environ["WORLD_SIZE"]
    first_line = str(error).partition("\n")[0]
    return ProcessError(f"not all {size} processes joined within {timeout:g} minutes: {first_line}")
