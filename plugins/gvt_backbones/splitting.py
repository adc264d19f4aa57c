"""Parts of a backbone, with its own parameters, for `gvt.Backbone.split`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from gvt import Backbone

M = TypeVar("M", bound=nn.Module)


def twin(module: M) -> M:
    """Return a deep copy of a module that has the parameters and buffers of the module itself."""
    shared = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in shared})


class Following(nn.Module):
    """Stages that follow a feature map, each on the map before it.

    Args:
        stages: The stages by the names of their maps.
    """

    def __init__(self, stages: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(stages)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the maps, and those of the stages after them."""
        maps = dict(features)
        last = [*maps.values()][-1]
        for name, stage in self.stages.items():
            last = maps[name] = stage(last)
        return maps


def split_stages(backbone: Backbone, stage: str, *between: nn.Module) -> tuple[Backbone, Following]:
    """Split a backbone that has a ModuleDict `stages`, each computed from the map before it.

    Args:
        backbone: The backbone.
        stage: Name of the last stage of the trunk.
        between: Modules without weights that `forward` applies between two stages.
    """
    trunk: Backbone = twin(backbone)
    trunk.feature_info = backbone.up_to(stage)
    stages: nn.ModuleDict = trunk.get_submodule("stages")  # type: ignore[assignment]
    later = {n: stages.pop(n) for n in backbone.feature_info if n not in trunk.feature_info}
    if between:
        later = {name: nn.Sequential(*between, module) for name, module in later.items()}
    return trunk, Following(later)


def cut(
    network: nn.Module, last: str, run: Callable[[], object]
) -> tuple[nn.Module, nn.Module] | None:
    """Return twins of a network: its modules up to one of them, and those that run after it.

    Identities replace the modules of the other twin. If every module passes its output to the next
    one, the second twin takes the output of the first instead of images.

    Args:
        network: The network.
        last: Name of the last module of the first twin.
        run: Function that calls the network once.

    Returns:
        The twins; None if they have a parameter in common, or `last` does not run.
    """
    before, after = set[str](), set[str]()
    hooks = []
    for name, module in network.named_modules():

        def starts(*_: object, name: str = name) -> None:
            if last in before:
                after.add(name)

        def ends(*_: object, name: str = name) -> None:
            if last not in before:
                before.add(name)

        hooks += [module.register_forward_pre_hook(starts), module.register_forward_hook(ends)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    names = [name for name, _ in network.named_modules() if name]
    first = _without(network, after - before)
    second = _without(network, {name for name in names if not _is_near(name, after)})
    in_both = {*first.parameters()} & {*second.parameters()}
    return None if in_both or last not in before else (first, second)


def _is_near(name: str, others: Iterable[str]) -> bool:
    """Return whether a module is one of the others, or in one, or contains one."""
    return any(f"{o}.".startswith(f"{name}.") or name.startswith(f"{o}.") for o in others)


def _without(network: nn.Module, names: Collection[str]) -> nn.Module:
    """Return a twin of a network in which identities replace some modules."""
    result = twin(network)
    for name in names:
        parents = name.split(".")[:-1]
        if not any(".".join(parents[:count]) in names for count in range(1, len(parents) + 1)):
            result.set_submodule(name, _emptied(result.get_submodule(name)))
    return result


def _emptied(module: nn.Module) -> nn.Module:
    """Return an identity, or a sequence with as many of them."""
    if isinstance(module, nn.ModuleList) or type(module).forward is nn.Sequential.forward:
        for name, child in module.named_children():
            module.add_module(name, _emptied(child))
        return module
    return nn.Identity()
