"""The rule on backbones that are split at one of their maps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Backbone, seed_everything
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.training import different, listed
from gvt_author.testing.trial import leaves, own_inputs, tried
from gvt_registry import Offer

_NO_MAP = "no_map"


@rule("backbone")
def split(offer: Offer) -> None:
    """Split at one of its maps, both parts compute what it computes, or it refuses, and why."""
    trial = tried(offer)
    backbone = trial.component
    if not hasattr(backbone, "split"):
        raise Skipped("it has no method split; see gvt.Backbone")
    try:
        backbone.split(_NO_MAP)
    except (ValueError, NotImplementedError):
        pass
    else:
        raise Failed(f"split({_NO_MAP!r}) has to raise a ValueError, since it has no such map")
    for stage in backbone.feature_info:
        try:
            trunk, rest = backbone.split(stage)
        except NotImplementedError as reason:
            if not str(reason) or "\n" in str(reason):
                raise Failed(f"split({stage!r}) has to say in one line why it is refused") from None
            continue
        inputs = own_inputs(backbone, trial.batch())
        if problem := _names(trunk, stage, inputs) or _weights(backbone, trunk, rest):
            raise Failed(f"split({stage!r}): {problem}")
        if odd := _differences(backbone, trunk, rest, inputs):
            raise Failed(f"split({stage!r}): {listed(odd)} differs from that of the backbone")


def _names(trunk: Backbone, stage: str, inputs: tuple[Any, ...]) -> str:
    """Return what is wrong with the maps of a trunk; empty if nothing is."""
    declared, maps = list(trunk.feature_info), list(trunk(*inputs))
    if declared[-1:] != [stage]:
        return f"the trunk declares the maps {listed(declared)}, of which {stage!r} is the last"
    lacking = [name for name in declared if name not in maps]
    return f"the trunk declares the map {lacking[0]!r}, and does not return it" if lacking else ""


def _weights(backbone: nn.Module, trunk: nn.Module, rest: nn.Module) -> str:
    """Return what is wrong with the parameters of two parts; empty if nothing is."""
    names = {id(p): name for name, p in backbone.named_parameters()}
    first, second = ({id(p) for p in part.parameters()} for part in (trunk, rest))
    both = first & second
    if shared := next((name for key, name in names.items() if key in both), None):
        return f"both parts have the parameter {shared!r}"
    if first | second != set(names):
        return "the parts do not have all parameters of the backbone, and no others"
    return ""


def _differences(
    backbone: nn.Module, trunk: nn.Module, rest: nn.Module, inputs: tuple[Any, ...]
) -> list[str]:
    """Return the names of what two parts compute differently, in eval mode or in train mode."""
    weights = {n: p for n, p in backbone.named_parameters() if p.requires_grad}
    odd: list[str] = []
    for training in (False, True):
        for module in (backbone, trunk, rest):
            module.train(training)
        copied = copy.deepcopy(rest)  # before the statistics of batch norms change
        whole = _computed(lambda: backbone(*inputs), weights)
        odd += different(whole, _computed(lambda: rest(trunk(*inputs)), weights))
        of_copy = _computed(lambda: copied(trunk(*inputs)), {})  # noqa: B023
        odd += [f"{n} of a deep copy" for n in different(of_copy, {n: whole[n] for n in of_copy})]
    return odd


def _computed(run: Callable[[], Any], weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return maps, and the gradients of the mean of their squares in some weights."""
    seed_everything(0)
    maps = dict(leaves(run()))
    if not weights:
        return maps
    loss = torch.stack([feature.square().mean() for feature in maps.values()]).sum()
    gradients = torch.autograd.grad(loss, [*weights.values()], allow_unused=True)
    named = zip(weights, gradients, strict=True)
    return maps | {f"the gradient of {n}": g for n, g in named if g is not None}
