"""Parameters that nobody gave, written into a configuration.

A constructor's default may change. A checkpoint therefore records every parameter that its
components were built with, and not only those of the recipe. What an older checkpoint does not
record was the default of its time, which a component's class may tell (`gvt_unrecorded`).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from gvt.config.compose import validate
from gvt.config.injected import INJECTED, NETWORKS
from gvt.config.named import target_of
from gvt.config.parameters import Parameter, convert, signature_of, with_components
from gvt.config.schema import ComponentConfig, RunConfig
from gvt.errors import ConfigError, GvtError
from gvt_registry import default_registry

Defaults = Callable[[Callable[..., Any]], Mapping[str, Any]]
"""Returns values for parameters of a class or function that a configuration does not have."""


def sections(config: RunConfig) -> list[tuple[str, str, ComponentConfig]]:
    """Return every component of a run with its section and kind."""
    found: list[tuple[str, str, ComponentConfig]] = [
        ("task", "task", config.task),
        ("data", "dataset", config.data),
    ]
    found += [(n, n, c) for n in NETWORKS if (c := getattr(config, n)) is not None]
    found += [(f"heads.{name}", "head", head) for name, head in config.heads.items()]
    return found


def with_defaults(config: RunConfig) -> RunConfig:
    """Return a valid configuration in which every component has all its parameters.

    Those that gvt fills in are left out, and defaults that a recipe cannot give: objects, and
    values that are not of the parameter's type.

    Raises:
        GvtError: If it is not valid.
    """
    return _completed(config, _defaults)


def with_unrecorded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's configuration with what its components say of parameters it lacks.

    A component that is not installed, or has parameters that do not fit, is left as it is:
    building it says what is wrong.
    """
    config = validate(document, "the checkpoint", keep=document)
    return _completed(config, unrecorded, GvtError).document()


def unrecorded(target: Callable[..., Any]) -> dict[str, Any]:
    """Return what a class or function says of parameters that a checkpoint does not record.

    What a base class says counts as far as its constructor is inherited.
    """
    if not isinstance(target, type):
        return dict(getattr(target, "gvt_unrecorded", {}))
    values: dict[str, Any] = {}
    for member in inspect.getmro(target):
        values = {**vars(member).get("gvt_unrecorded", {}), **values}
        if "__init__" in vars(member):
            break
    return values


def _completed(config: RunConfig, defaults: Defaults, *left_alone: type[Exception]) -> RunConfig:
    """Return a configuration with further parameters; components that raise stay as they are."""
    document = config.document()
    for section, kind, component in sections(config):
        place = document
        for key in section.split("."):
            place = place[key]
        with suppress(*left_alone):
            target = default_registry().find(kind, component.name).load()
            filled_in = INJECTED["dataset" if kind == "dataset" else "task"]
            reserved = {*filled_in, *type(component).model_fields}
            place |= _with(defaults, kind, target, component.parameters, reserved)
    return validate(document, config.recipe, keep=document)


def _with(
    defaults: Defaults,
    kind: str,
    target: Callable[..., Any],
    parameters: Mapping[str, Any],
    reserved: Collection[str],
) -> dict[str, Any]:
    """Return a component's parameters, and those of the components in it, with further ones.

    Args:
        defaults: Where further ones come from.
        kind: Of the component.
        target: Its class or function.
        parameters: What a configuration has of it.
        reserved: Names that are not its own to have: those that gvt fills in, also into components
            within it, and the configuration's keys.
    """

    def inner(kind: str, component: Mapping[str, Any]) -> dict[str, Any]:
        own = dict(component)
        name = own.pop("name")
        inside = {*reserved, "name"}
        return {"name": name, **_with(defaults, kind, target_of(kind, name), own, inside)}

    declared, takes_any = signature_of(target)
    left_out = {*parameters, *reserved, *INJECTED.get(kind, ())}
    further = {
        name: value
        for name, value in defaults(target).items()
        if (name in declared or takes_any) and name not in left_out
    }
    return {**with_components(target, parameters, inner), **further}


def _defaults(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a constructor that a recipe can give, as plain data."""
    declared, _ = signature_of(target)
    return {n: _plain(p.default) for n, p in declared.items() if _can_be_given(p)}


def _can_be_given(parameter: Parameter) -> bool:
    """Whether a default, read from JSON as the parameter's type, is the same value."""
    if parameter.required:
        return False
    try:
        plain = _plain(parameter.default)
        read = convert("", parameter.annotation, plain)
        return bool(plain == (parameter.default if read is plain else _plain(read)))
    except (TypeError, ValueError, ConfigError):
        return False


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON.

    Raises:
        TypeError: If it cannot be written.
        ValueError: If it is infinite or NaN, for which JSON has no number.
    """
    return json.loads(json.dumps(value, allow_nan=False))
