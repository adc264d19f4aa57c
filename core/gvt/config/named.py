"""Parameters that are components themselves, such as a loss, that a recipe names.

A constructor's parameter of the type `gvt.Loss`, `gvt.Metric`, `gvt.Backbone`, `gvt.Head` or
`gvt.Dataset`, alone or inside of others such as `dict[str, gvt.Metric] | None`, takes
`{name: ..., PARAMETER: ...}`, or just a name, from a recipe.
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

# By module and name, since importing them takes torch, which checking a recipe's other parameters
# does not need.
_TYPES = {
    ("gvt.interfaces", "Loss"): "loss",
    ("gvt.interfaces", "Metric"): "metric",
    ("gvt.interfaces", "Backbone"): "backbone",
    ("gvt.interfaces", "Head"): "head",
    ("gvt.interfaces", "Dataset"): "dataset",
}

# Where names are looked up that no plugin offers.
_LIBRARIES = {"loss": "torch.nn", "metric": "torchmetrics"}


def taking_names(annotation: Any, build: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    """Return a type in which components are made of what a recipe names.

    One without any is returned itself.

    Args:
        annotation: A parameter's type.
        build: Called with a component's kind and what the recipe says of it.
    """
    kind = _kind_of(annotation)
    if kind is not None:
        return Annotated[Any, BeforeValidator(functools.partial(_given, build, kind))]
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
    """Return a component's class or function: a plugin's, of a loss or metric otherwise torch's.

    Raises:
        UnknownComponent: If neither has it.
    """
    try:
        target: Callable[..., Any] = default_registry().find(kind, name).load()
        return target
    except UnknownComponent as error:
        if kind not in _LIBRARIES:
            raise ConfigError(str(error)) from error
        library = importlib.import_module(_LIBRARIES[kind])
        found = getattr(library, name, None)
        if isinstance(found, type) and name[0].isupper() and _fits(kind, found):
            return found
        raise ConfigError(f"{error}; nor has {library.__name__} a {kind} of that name") from error


def _given(build: Callable[[str, Mapping[str, Any]], Any], kind: str, value: Any) -> Any:
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ValueError(f"should name a {kind}, as in {{name: ...}}")
    return build(kind, value)


def _fits(kind: str, found: type) -> bool:
    from torch import nn

    if kind == "loss":
        return issubclass(found, nn.Module) and found.__name__.endswith("Loss")
    import torchmetrics

    return issubclass(found, torchmetrics.Metric)


def _kind_of(annotation: Any) -> str | None:
    home = (getattr(annotation, "__module__", ""), getattr(annotation, "__qualname__", ""))
    return _TYPES.get(home)
