"""Parameters whose values are components, such as a loss, named in a recipe.

A parameter of the type `gvt.Loss`, `gvt.Metric`, `gvt.Weighting`, `gvt.Generator`,
`gvt.Discriminator`, `gvt.Backbone`, `gvt.Head` or `gvt.Dataset`, alone or within other types as in
`dict[str, gvt.Generator] | None`, takes `{name: ..., PARAMETER: ...}`, or only a name, from a
recipe. A network that is a parameter of the task has a section of its own instead.
"""

from __future__ import annotations

import functools
import importlib
import operator
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from gvt.errors import ConfigError
from gvt_registry import AmbiguousComponent, UnknownComponent, default_registry, nearest
from gvt_registry.choice import BLOCK_VARIABLE

TYPES = ("Loss", "Metric", "Weighting", "Generator", "Discriminator", "Backbone", "Head", "Dataset")
"""Names of the types in `gvt.interfaces`. Importing these would import torch."""

_LIBRARIES = {
    "loss": ("torch.nn", "Module", "Loss"),
    "metric": ("torchmetrics", "Metric", ""),
    "optimizer": ("torch.optim", "Optimizer", ""),
    "schedule": ("torch.optim.lr_scheduler", "LRScheduler", ""),
    "transform": ("torchvision.transforms.v2", "Transform", ""),
}
"""Module, base class and suffix of the classes that can be named as well as those of plugins."""


Build = Callable[[str, str, dict[str, Any]], Any]
"""Called with the kind, the name and the parameters of a component in a recipe."""


def taking_names(annotation: Any, build: Build) -> Any:
    """Return a type in which components are built from their names; without any, the same object.

    Args:
        annotation: Type of a parameter.
        build: Called with a component, for the value in its place.
    """
    if kind := kind_of(annotation):
        return Annotated[Any, BeforeValidator(functools.partial(_build, build, kind))]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (None, typing.Literal, Callable) or not arguments:
        return annotation
    if origin is Annotated:
        arguments, extras = arguments[:1], arguments[1:]
    inside = tuple(taking_names(argument, build) for argument in arguments)
    if all(new is old for new, old in zip(inside, arguments, strict=True)):
        return annotation
    if origin is Annotated:
        return Annotated[(*inside, *extras)]
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(operator.or_, inside)
    return origin[inside]


@functools.cache
def library(kind: str) -> Mapping[str, Callable[..., Any]]:
    """Return the classes of torch, torchvision or torchmetrics that are components of a kind.

    They are losses, metrics, optimisers, schedules and transforms, by name.
    """
    if kind not in _LIBRARIES:
        return {}
    module, base, suffix = _LIBRARIES[kind]
    members = vars(importlib.import_module(module))
    return {
        name: member
        for name, member in members.items()
        if isinstance(member, type) and issubclass(member, members[base])
        if name.endswith(suffix) and name.strip("_") != base
    }


def target_of(kind: str, name: str) -> Callable[..., Any]:
    """Return the class or function of a component: that of a plugin, or one of the `library`.

    Raises:
        AmbiguousComponent: If a plugin offers a component with the name of a class of the library.
        ConfigError: If neither has it.
    """
    classes, registry = library(kind), default_registry()
    if name not in classes:
        try:
            return registry.find(kind, name).load()  # type: ignore[no-any-return]
        except UnknownComponent as error:
            text = f"; nor has {_LIBRARIES[kind][0]} one of that name" if classes else ""
            raise ConfigError(f"{error}{text}{nearest(name, classes)}") from error
    if same := [offer for offer in registry.offers(kind) if offer.component.name == name]:
        raise AmbiguousComponent(
            f"{kind} {name!r} is a class of {_LIBRARIES[kind][0]}, and offered by {same[0].origin} "
            f"(plugin {same[0].plugin}), which has to rename it; block that with {BLOCK_VARIABLE}"
        )
    return classes[name]


def _build(build: Build, kind: str, value: Any) -> Any:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"should name a {kind}, as in {{name: ...}}")
    parameters = dict(value)
    return build(kind, parameters.pop("name"), parameters)


def kind_of(annotation: Any) -> str | None:
    """Return the kind of component that a type takes; None if it takes none."""
    name = getattr(annotation, "__qualname__", "")
    is_component = getattr(annotation, "__module__", "") == "gvt.interfaces" and name in TYPES
    return name.lower() if is_component else None
