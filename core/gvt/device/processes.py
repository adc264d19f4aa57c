"""Several processes as one: who I am among them, and what we agree on.

Gradients are averaged in one flat all-reduce a phase (as StyleGAN3 does), with no wrapper around
the task: a task whose phases use parts of it would need DDP's search for unused parameters.

Processes meet at a store of torch.distributed. One that fails leaves its reason there, so that the
others can say more than that a connection was closed.
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

if TYPE_CHECKING:  # there are builds of torch without it
    from torch.distributed.distributed_c10d import Store

TIMEOUT = 10.0
"""Minutes that processes wait for one another, unless a recipe says otherwise."""

GRACE_SECONDS = 5.0
"""How long a process that lost another waits for the others to tell who is still there."""

_SIGNS = ("gloo", "NCCL", "by peer", "imed out", "timeout", "onnection")
_counter = itertools.count()
_met: list[Store] = []


@dataclass(frozen=True)
class World:
    """The processes of this run; the default is this one alone.

    Attributes:
        rank: The number of this one.
        size: How many there are.
        store: Where a process leaves the reason why it failed; None where there is no such place.
        timeout: Minutes that one waits for another.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None
    timeout: float = TIMEOUT

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether any process says so; all get the same answer."""
        if self.size == 1:
            return flag
        votes = torch.tensor([float(flag)])  # on the CPU, so that no accelerator is waited for
        with self.together():
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
        flat = torch.cat([_flat_gradient(p) for p in parameters])
        with self.together():
            dist.all_reduce(anywhere)
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
            with self.together():
                for tensor in tensors:
                    dist.broadcast(tensor.data, src=0)

    def add(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums over the processes; one that lacks a key adds nothing to it."""
        if self.size == 1:
            return dict(values)
        gathered: list[Any] = [None] * self.size
        with self.together():
            dist.all_gather_object(gathered, dict(values))
        keys = dict.fromkeys(key for of_one in gathered for key in of_one)
        return {key: sum(of_one.get(key, 0.0) for of_one in gathered) for key in keys}

    def earliest(self, problem: tuple[int, str] | None) -> str:
        """Return the problem of the earliest step in any process, the same line for all.

        Args:
            problem: Step and line of this one's, if it has one.

        Returns:
            The line, with the process it is of; empty if none has a problem.
        """
        if self.size == 1:
            return problem[1] if problem else ""
        if not self.any(problem is not None):
            return ""
        gathered: list[Any] = [None] * self.size
        with self.together():
            dist.all_gather_object(gathered, problem)
        _, rank = min((of_one[0], rank) for rank, of_one in enumerate(gathered) if of_one)
        return f"process {rank} of {self.size}: {gathered[rank][1]}"

    @contextmanager
    def together(self) -> Iterator[None]:
        """Say which process is missing, and why, where a collective inside fails.

        Raises:
            ProcessError: In place of what torch.distributed raises.
        """
        try:
            yield
        except RuntimeError as error:
            is_memory = isinstance(error, torch.OutOfMemoryError)
            if self.size == 1 or is_memory or not any(sign in str(error) for sign in _SIGNS):
                raise
            raise ProcessError(self._absence(error)) from error

    def leave(self, error: BaseException) -> None:
        """Tell the other processes why this one fails; not if it does since another one did."""
        if self.store is not None and not isinstance(error, ProcessError):
            reason = str(error) if isinstance(error, GvtError) else ""
            reason = reason or f"{type(error).__name__}: {error}".removesuffix(": ")
            with suppress(RuntimeError):  # the process that holds the store may be gone
                self.store.set(f"failed/{self.rank}", " ".join(reason.split()))

    def _absence(self, error: RuntimeError) -> str:
        """Return which processes are missing and why, after a collective failed."""
        timed_out = "imed out" in str(error)
        others = self._others(timed_out)
        reasons = {rank: why for rank, (state, why) in others.items() if state == "failed"}
        absent = [rank for rank, (state, _) in others.items() if state == "absent"]
        if reasons:
            lines = [f"process {n} of {self.size} failed: {why}" for n, why in reasons.items()]
        elif absent:
            how = "is gone without a reason: it was killed, or its machine is down"
            if timed_out:
                how = f"did not answer within {self.timeout:g} minutes (train.timeout)"
            lines = [f"process {rank} of {self.size} {how}" for rank in absent]
        elif timed_out or any(why == "late" for _, why in others.values()):
            lines = [
                f"the processes waited for one another longer than {self.timeout:g} minutes; raise "
                "train.timeout if a step, an evaluation or a report may take so long"
            ]
        else:
            lines = [f"the processes lost one another: {error}"]
        return "; ".join(lines)

    def _others(self, timed_out: bool) -> dict[int, tuple[str, str]]:
        """Return the states of the other processes by rank, after this one lost them.

        A state is `failed` with the reason, `present` with `late` if that one has waited too long,
        or `absent`.
        """
        others = {rank: ("absent", "") for rank in range(self.size) if rank != self.rank}
        if self.store is None:
            return others if self.size == 2 else {}
        try:
            self.store.set(f"present/{self.rank}", "late" if timed_out else "")
            until = time.monotonic() + GRACE_SECONDS
            while ("absent", "") in others.values() and time.monotonic() < until:
                for rank, state in product(tuple(others), ("failed", "present")):
                    key = f"{state}/{rank}"
                    if others[rank][0] == "absent" and self.store.check([key]):
                        others[rank] = (state, self.store.get(key).decode())
                time.sleep(0.05)
        except RuntimeError:  # the first process holds it where torchrun does not, and is gone
            return {0: ("absent", "")}
        return others


def local_rank() -> int:
    """Return which of this machine's processes this is, as torchrun numbers them."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def processes_here() -> int:
    """Return how many processes of the run share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def world(timeout: float = TIMEOUT) -> Iterator[World]:
    """Join the other processes that torchrun started, if it did.

    Args:
        timeout: Minutes that one waits for another.

    Raises:
        ProcessError: If not all of them come.
    """
    if not _is_one_of_several():
        yield World()
        return
    joined = not dist.is_initialized()
    made = _join(timeout) if joined else World(dist.get_rank(), dist.get_world_size())
    try:
        yield made
    except BaseException as error:
        made.leave(error)
        raise
    finally:
        if joined:
            dist.destroy_process_group()


@contextmanager
def first_enters(context: AbstractContextManager[object]) -> Iterator[None]:
    """Enter a context in the first process alone; the others wait until it has.

    Raises:
        ProcessError: In the others, if the first one failed to enter it, or does not come.
    """
    if not _is_one_of_several():
        with context:
            yield
        return
    rank = dist.get_rank() if dist.is_initialized() else int(os.environ["RANK"])
    with ExitStack() as entered:
        if rank == 0:
            try:
                entered.enter_context(context)
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
    """Return the text of the first process; the others give None."""
    if dist.is_initialized():
        box = [text]
        dist.broadcast_object_list(box, src=0)
        return str(box[0])
    store, key = _meeting_point(TIMEOUT), f"gvt/from_first/{next(_counter)}"
    if text is not None:
        store.set(key, text)
        return text
    try:
        return str(store.get(key).decode())
    except RuntimeError as error:
        raise ProcessError(f"process 0 did not come within {TIMEOUT:g} minutes") from error


def _join(timeout: float) -> World:
    """Join the group of processes that the environment describes, as torchrun sets it."""
    from torch.distributed.distributed_c10d import PrefixStore

    store = _meeting_point(timeout)
    # Another place for each run of this process, or the second one would meet the first one's.
    place = f"gvt/run/{next(_counter)}"
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        # No backend is named: gloo for the CPU, and what fits for an accelerator.
        dist.init_process_group(
            store=PrefixStore(f"{place}/group", store),
            rank=rank,
            world_size=size,
            timeout=timedelta(minutes=timeout),
        )
    except RuntimeError as error:
        raise _not_all_came(timeout, error) from error
    return World(rank, size, PrefixStore(f"{place}/reasons", store), timeout)


def _meeting_point(timeout: float) -> Store:
    """Return the store of all processes, the same one for all runs of this one."""
    from torch.distributed.rendezvous import rendezvous

    if not _met:
        try:
            store, _, _ = next(rendezvous("env://", timeout=timedelta(minutes=timeout)))
        except RuntimeError as error:
            raise _not_all_came(timeout, error) from error
        _met.append(store)
    _met[0].set_timeout(timedelta(minutes=timeout))
    return _met[0]


def _not_all_came(timeout: float, error: Exception) -> ProcessError:
    size = os.environ["WORLD_SIZE"]
    first_line = str(error).partition("\n")[0]
    return ProcessError(f"not all {size} processes came within {timeout:g} minutes: {first_line}")


def _flat_gradient(parameter: nn.Parameter) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros(parameter.numel(), dtype=torch.float32, device=parameter.device)
    return gradient.reshape(-1).to(torch.float32)
