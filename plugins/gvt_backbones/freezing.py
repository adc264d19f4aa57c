"""Parameters behind feature maps, pruning of unused modules, and freezing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def parameters_behind(maps: Iterable[Tensor]) -> set[nn.Parameter]:
    """Return the parameters that tensors were computed with, from their autograd graph."""
    parameters: set[nn.Parameter] = set()
    nodes = [tensor.grad_fn for tensor in maps]
    visited = {None}
    while nodes:
        node = nodes.pop()
        if node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):
            parameters.add(node.variable)
        nodes += [previous for previous, _ in node.next_functions]
    return parameters


def leave_out(network: nn.Module, used: Collection[nn.Parameter]) -> None:
    """Replace children without used parameters by identities, and freeze unused parameters."""
    for name, child in network.named_children():
        parameters = list(child.parameters())
        if parameters and not any(parameter in used for parameter in parameters):
            setattr(network, name, nn.Identity())
    for parameter in network.parameters():
        parameter.requires_grad_(parameter in used)


def freeze_parameters(
    network: nn.Module, frozen: Collection[nn.Parameter], batch_norms: bool
) -> tuple[str, ...]:
    """Freeze parameters, and return the names of the modules to keep in eval mode.

    Args:
        network: The module with the parameters.
        frozen: The parameters to freeze.
        batch_norms: Whether to freeze every batch norm, too.
    """
    names = []
    for name, module in network.named_modules():
        parameters = list(module.parameters())
        if batch_norms and isinstance(module, _BatchNorm):
            frozen = {*frozen, *parameters}
            names.append(name)
        elif parameters and all(parameter in frozen for parameter in parameters):
            names.append(name)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return tuple(names)
