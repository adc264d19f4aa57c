"""Parameters that are distributed over the processes by FSDP2 (`fully_shard` of torch).

Each process holds a part of every sharded parameter, of its gradient and of its optimiser state.
A network gathers the parameters of a block when the block is called, which all processes have to
do in the same order: one that does not leaves the others waiting.

Sharded parameters are DTensors. They cannot be mixed with plain tensors in one operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from gvt.device.placement import networks
from gvt.interfaces import Head


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor is distributed over the processes."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Any) -> Tensor:
    """Return the part of a tensor in this process, which shares its memory."""
    return tensor.detach().to_local() if is_sharded(tensor) else tensor  # type: ignore[no-any-return]


def whole(tensor: Any) -> Tensor:
    """Return a tensor with the parts of all processes; all call it."""
    return tensor.detach().full_tensor() if is_sharded(tensor) else tensor  # type: ignore[no-any-return]


def distributed_like(target: Any, tensor: Tensor) -> Tensor:
    """Return a whole tensor, the same in all processes, distributed like a target."""
    if not is_sharded(target):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = target.device_mesh, target.placements
    return distribute_tensor(tensor.detach(), mesh, placements, src_data_rank=None)


def clip_gradients(
    parameters: Iterable[nn.Parameter], norm: float | None, value: float | None = None
) -> None:
    """Clip the elements of gradients, then scale all together so that their norm is limited.

    Args:
        parameters: Parameters, whose gradients are already means over the processes.
        norm: Largest norm, over all parameters and processes; None for no limit.
        value: Largest absolute value of an element; None for no limit.
    """
    updated = sorted((p for p in parameters if p.grad is not None), key=is_sharded)
    kinds = [[*kind] for _, kind in groupby(updated, is_sharded)]  # they cannot be mixed
    if value is not None:
        for kind in kinds:
            nn.utils.clip_grad_value_(kind, value)
    if norm is None:
        return
    norms = [whole(nn.utils.get_total_norm([p.grad for p in kind])) for kind in kinds]  # type: ignore[misc]
    for kind in kinds:
        total = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
        nn.utils.clip_grads_with_norm_(kind, norm, total)


def sharded_modules(module: nn.Module) -> list[Any]:
    """Return the submodules whose parameters are distributed, as `FSDPModule`s."""
    return [m for m in module.modules() if hasattr(m, "set_requires_gradient_sync")]


def shard_networks(task: nn.Module, device: str, processes: int) -> None:
    """Distribute the parameters of a task's networks over the processes.

    A network with a method `shard(mesh)` calls `fully_shard` itself. Otherwise each of its blocks
    is gathered by itself, and the rest of the network together. A head is gathered as a whole,
    since it also computes in `loss` and `predict`. Scalars, and parameters with several names,
    are not distributed.

    Args:
        task: The task, with the same weights in all processes.
        device: Type of the device, such as `cuda`.
        processes: Number of processes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device, (processes,))
    names = Counter(p for _, p in task.named_parameters(remove_duplicate=False))
    ignored = {p for p, count in names.items() if p.ndim == 0 or count > 1}
    for network in networks(task):
        own: Any = getattr(network, "shard", None)
        if own is not None:
            own(mesh)
        elif not ignored.issuperset(network.parameters()) and _is_called(network):
            for block in () if isinstance(network, Head) else _blocks(network):
                fully_shard(block, mesh=mesh, ignored_params=ignored)
            fully_shard(network, mesh=mesh, ignored_params=ignored)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost entries of lists and sequences that have submodules of their own."""
    for child in module.children():
        is_entry = isinstance(module, nn.ModuleList | nn.Sequential)
        if is_entry and _is_called(child) and any(True for _ in child.children()):
            yield child
        else:
            yield from _blocks(child)


def _is_called(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward  # as in a container
