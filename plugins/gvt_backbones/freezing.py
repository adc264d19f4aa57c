"""Which parameters a feature map depends on, and keeping some of a network as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def parameters_behind(maps: Iterable[Tensor]) -> set[nn.Parameter]:
    """Return the parameters that tensors were computed with, by their autograd graph."""
    found: set[nn.Parameter] = set()
    waiting = [each.grad_fn for each in maps]
    seen = {None}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(node.variable)
        waiting += [before for before, _ in node.next_functions]
    return found


def leave_out(network: nn.Module, used: Collection[nn.Parameter]) -> None:
    """Take the parts that compute nothing of use out of a network, and freeze what is left."""
    for name, part in network.named_children():
        parameters = list(part.parameters())
        if parameters and not any(parameter in used for parameter in parameters):
            setattr(network, name, nn.Identity())
    for parameter in network.parameters():
        parameter.requires_grad_(parameter in used)


def freeze_parameters(
    network: nn.Module, frozen: Collection[nn.Parameter], batch_norms: bool
) -> tuple[str, ...]:
    """Freeze parameters, and return the names of the modules that belong in eval mode for ever.

    Args:
        network: What they are of.
        frozen: What is to stay as it is.
        batch_norms: Whether every batch norm is, too.
    """
    still = []
    for name, module in network.named_modules():
        own = list(module.parameters())
        if batch_norms and isinstance(module, _BatchNorm):
            frozen = {*frozen, *own}
            still.append(name)
        elif own and all(parameter in frozen for parameter in own):
            still.append(name)
    for parameter in frozen:
        parameter.requires_grad_(False)
    return tuple(still)
