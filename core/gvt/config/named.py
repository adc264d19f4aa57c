"""Parameters whose values are components, such as a loss, named in a recipe.

A parameter of the type `gvt.Loss`, `gvt.Metric`, `gvt.Generator`, `gvt.Discriminator`,
`gvt.Backbone`, `gvt.Head` or `gvt.Dataset`, alone or within other types as in
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
from gvt_registry import UnknownComponent, default_registry

_TYPES = ("Loss", "Metric", "Generator", "Discriminator", "Backbone", "Head", "Dataset")
"""Names of the types in `gvt.interfaces`. Importing these would import torch."""

_LIBRARIES = {"loss": ("torch.nn", "Module", "Loss"), "metric": ("torchmetrics", "Metric", "")}
"""Module, base class and suffix of the classes that can be named as well as those of plugins."""


def taking_names(annotation: Any, build: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    """Return a type in which components are built from their names; without any, the same object.

    Args:
        annotation: Type of a parameter.
        build: Called with the kind of a component, and its name and parameters.
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


def target_of(kind: str, name: str) -> Callable[..., Any]:
    """Return the class or function of a component.

    A loss that no plugin offers is looked up in `torch.nn`, a metric in `torchmetrics`.

    Raises:
        ConfigError: If it is in neither.
    """
    try:
        target: Callable[..., Any] = default_registry().find(kind, name).load()
        return target
    except UnknownComponent as error:
        if kind not in _LIBRARIES:
            raise ConfigError(str(error)) from error
        module, base, suffix = _LIBRARIES[kind]
        library = importlib.import_module(module)
        candidate, parent = getattr(library, name, None), getattr(library, base)
        if isinstance(candidate, type) and issubclass(candidate, parent) and name.endswith(suffix):
            return candidate
        raise ConfigError(f"{error}; nor has {module} a {kind} of that name") from error


def _build(build: Callable[[str, Mapping[str, Any]], Any], kind: str, value: Any) -> Any:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"should name a {kind}, as in {{name: ...}}")
    return build(kind, value)


def kind_of(annotation: Any) -> str | None:
    """Return the kind of component that a type takes; None if it takes none."""
    name = getattr(annotation, "__qualname__", "")
    is_component = getattr(annotation, "__module__", "") == "gvt.interfaces" and name in _TYPES
    return name.lower() if is_component else None
