"""Complete a configuration with the defaults of its components.

The default of a parameter may change. A checkpoint therefore records all parameters that its
components were built with, not only those of the recipe. For a parameter that an older checkpoint
does not record, the class of the component may give the former default in `gvt_unrecorded`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any

from gvt.config.compose import validate
from gvt.config.injected import INJECTED
from gvt.config.made import CODE
from gvt.config.named import library, target_of
from gvt.config.networks import network_sections, networks_of
from gvt.config.parameters import convert, declaring, signature_of, with_components
from gvt.config.schema import ComponentConfig, RunConfig
from gvt.errors import ConfigError, GvtError
from gvt_registry import default_registry

_NOT_OF_DATA = ("dataset", "optimizer", "schedule", "transform")
"""Kinds that do not get what follows from the data, such as `image_shape`."""

Part = tuple[str, str, ComponentConfig]
"""The section, kind and configuration of a component."""

Defaults = Callable[[Callable[..., Any]], Mapping[str, Any]]
"""Returns values for parameters of a class or function that a configuration lacks."""


def sections(config: RunConfig) -> list[Part]:
    """Return the section, kind and configuration of each component that a recipe describes."""
    return [section for section in all_sections(config) if section[2].name != CODE]


def all_sections(config: RunConfig) -> list[Part]:
    """Return the section, kind and configuration of each component of a run."""
    return [
        ("task", "task", config.task),
        ("data", "dataset", config.data),
        *network_sections(config).values(),
        *((f"heads.{name}", "head", head) for name, head in config.heads.items()),
    ]


def of_training(config: RunConfig) -> list[Part]:
    """Return the section, kind and configuration of what only training needs from plugins.

    These are optimisers, schedules and transforms, without those of torch and torchvision.
    """
    parts: list[Part] = []
    for key, optimizer in config.optimizers.items():
        parts.append((f"optimizers.{key}", "optimizer", optimizer))
        if optimizer.schedule is not None:
            parts.append((f"optimizers.{key}.schedule", "schedule", optimizer.schedule))
    for name in ("transforms", "batch_transforms"):
        parts += _transforms(f"data.{name}", getattr(config.data, name))
    return [part for part in parts if part[2].name not in library(part[1])]


def _transforms(section: str, configs: Sequence[ComponentConfig]) -> Iterator[Part]:
    """Yield transforms, and those in a `RandomApply` or another one that takes `transforms`."""
    for number, config in enumerate(configs):
        place = f"{section}.{number}"
        yield place, "transform", config
        inner = config.parameters.get("transforms")
        if isinstance(inner, list) and all(isinstance(i, dict) and "name" in i for i in inner):
            yield from _transforms(f"{place}.transforms", [ComponentConfig(**i) for i in inner])


def with_defaults(config: RunConfig) -> RunConfig:
    """Return a configuration in which each component has all its parameters.

    Parameters that gvt fills in are left out. So are defaults that a recipe cannot give: objects,
    and values that are not of the parameter's type.

    Raises:
        GvtError: If the configuration is not valid.
    """
    return _completed(config, _defaults)


def with_unrecorded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a checkpoint, completed with `unrecorded` parameters.

    Format 1 recorded only the parameters in the recipe; all others had their defaults. A component
    whose default has changed since gives the former one in `gvt_unrecorded`.

    The former setting `data.mosaic` becomes a transform.

    A component that is not installed, or whose parameters do not fit, is left unchanged; building
    it raises the error.
    """
    config = validate(document, "the checkpoint", keep=document)
    # The share of mosaics was once a setting of the data; they follow all transforms.
    if share := (config.data.model_extra or {}).pop("mosaic", 0):
        mosaic = {"name": "mosaic", "p": share}
        config.data.transforms.append(ComponentConfig(**mosaic))
    return _completed(config, unrecorded, GvtError).document()


def unrecorded(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the values in `gvt_unrecorded` of a class or function, for older checkpoints.

    Those of base classes are included up to the class that defines the constructor, and those of
    what its parameters are passed on to.
    """
    values: dict[str, Any] = {}
    for other in declaring(target):
        for member in inspect.getmro(other) if isinstance(other, type) else (other,):
            attributes = getattr(member, "__dict__", {})
            values = {**attributes.get("gvt_unrecorded", {}), **values}
            if "__init__" in attributes and not is_dataclass(member):
                break
    return values


def _completed(config: RunConfig, defaults: Defaults, *ignored: type[Exception]) -> RunConfig:
    """Return a configuration with further parameters; none for components with `ignored` errors."""
    document = config.document()
    for section, kind, component in (*sections(config), *of_training(config)):
        settings: Any = document
        for key in section.split("."):
            settings = settings[int(key) if isinstance(settings, list) else key]
        with suppress(*ignored):
            target = default_registry().find(kind, component.name).load()
            injected = INJECTED[kind if kind in _NOT_OF_DATA else "task"]
            reserved = {*injected, *type(component).model_fields}
            settings |= _with(defaults, kind, target, component.parameters, reserved)
    return validate(document, config.recipe, keep=document)


def _with(
    defaults: Defaults,
    kind: str,
    target: Callable[..., Any],
    parameters: Mapping[str, Any],
    reserved: Collection[str],
) -> dict[str, Any]:
    """Return the parameters of a component, and of the components in it, with further ones.

    Args:
        defaults: Returns the further parameters.
        kind: Kind of the component.
        target: Class or function of the component.
        parameters: Parameters in the configuration.
        reserved: Names that are not added: parameters that gvt fills in, also into the components
            within it, and keys of the configuration.
    """

    def inner(kind: str, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        names = {*reserved, "name"}
        return {"name": name, **_with(defaults, kind, target_of(kind, name), settings, names)}

    declared, takes_any = signature_of(target)
    excluded = {*parameters, *reserved, *INJECTED.get(kind, ()), *networks_of(kind, target)}
    further = {
        name: value
        for name, value in defaults(target).items()
        if (name in declared or takes_any) and name not in excluded
    }
    return {**with_components(target, parameters, inner), **further}


def _defaults(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a constructor that survive JSON and the parameters' types."""
    defaults: dict[str, Any] = {}
    for name, parameter in signature_of(target)[0].items():
        # JSON cannot represent the mark of a required parameter either.
        with suppress(TypeError, ValueError, ConfigError):
            plain = _plain(parameter.default)
            value = convert("", parameter.annotation, plain)
            if plain == (parameter.default if value is plain else _plain(value)):
                defaults[name] = plain
    return defaults


def _plain(value: Any) -> Any:
    """Return a value after writing it to JSON and reading it back.

    Raises:
        TypeError: If JSON cannot represent it.
        ValueError: If it is infinite or NaN.
    """
    return json.loads(json.dumps(value, allow_nan=False))
