"""The networks of a task by name: the parameters of its constructor that are networks.

`generator`, `discriminator` and `backbone` have sections of their own in a recipe, which are short
for `networks.generator` and so on. All others are in `networks`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gvt.config.injected import NETWORKS
from gvt.config.named import kind_of
from gvt.config.parameters import signature_of
from gvt.config.schema import ComponentConfig, RunConfig
from gvt.errors import GvtError
from gvt_registry import default_registry


def section_of(name: str) -> str:
    """Return the section of a recipe for a network of the task, or for its heads."""
    return name if name in (*NETWORKS, "heads") else f"networks.{name}"


def networks_of(kind: str, target: Callable[..., Any]) -> dict[str, str]:
    """Return the kinds of the networks that a component takes from a recipe, by parameter.

    Only tasks take any. The kind of a network is that of its type: `gvt.Generator`,
    `gvt.Discriminator`, `gvt.Backbone`, or a subclass. For any other `nn.Module` it is `network`.
    Parameters that are called like the first three are networks whatever their type.

    Args:
        kind: Kind of the component.
        target: Class or function of the component.
    """
    parameters = signature_of(target)[0] if kind == "task" else {}
    return {n: of for n, p in parameters.items() if (of := _kind(n, p.annotation))}


def network_sections(config: RunConfig) -> dict[str, tuple[str, str, ComponentConfig]]:
    """Return the section, kind and configuration of each network of a run, by its name.

    If the task is not available, the kind is that of the name.
    """
    kinds = {name: name for name in NETWORKS}
    with suppress(GvtError):
        kinds |= networks_of("task", default_registry().find("task", config.task.name).load())
    networks = {n: c for n in NETWORKS if (c := getattr(config, n))} | config.networks
    return {n: (section_of(n), kinds.get(n, "network"), c) for n, c in networks.items()}


def _kind(name: str, annotation: Any) -> str | None:
    """Return the kind of network that a parameter takes; None if it takes none."""
    if typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        kinds = (_kind(name, argument) for argument in typing.get_args(annotation))
        return next(filter(None, kinds), None)
    bases = getattr(annotation, "__mro__", ())
    kind = next(filter(None, map(kind_of, bases)), None)
    if kind in NETWORKS or name in NETWORKS:
        return kind if kind in NETWORKS else name
    is_module = any(base.__module__ == "torch.nn.modules.module" for base in bases)
    return "network" if is_module and kind is None else None
