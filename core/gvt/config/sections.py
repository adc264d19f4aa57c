"""Sections of a recipe that plugins define, each with a pydantic model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, Field, create_model

from gvt.config.schema import RunConfig
from gvt.errors import GvtError
from gvt_registry import BrokenComponent, Target, default_registry

HOOK = "gvt_sections"


def model_for(data: Mapping[str, Any], keep: Collection[str]) -> type[RunConfig]:
    """Return a subclass of `RunConfig` with the sections of all plugins.

    A section that a recipe lacks has the defaults of its model, or is null if a field of the model
    is required. A section that cannot be used is an error only if the recipe has it.

    Args:
        data: The recipe.
        keep: Names of sections that are kept as they are if no plugin defines them.

    Raises:
        AmbiguousComponent: If two plugins define a section of the recipe.
        BrokenComponent: If the model of a section of the recipe cannot be imported.
    """
    models: dict[str, type[BaseModel]] = {}
    for name, target in default_registry().targets(HOOK).items():
        try:
            models[name] = _model(target)
        except GvtError as error:
            if name in data and name not in keep and _is_free(name):
                raise
            for plugin, _ in target.offers:
                plugin.warn(str(error))
    names = [name for name in keep if _can_be_kept(name, data) and name not in models]
    return _extended(tuple(models.items()), tuple(sorted(names)))


def missing(name: str) -> str:
    """Return a hint for a section that no plugin defines, to append to a message."""
    text = "; if it belongs to a plugin, install that plugin"
    unavailable = default_registry().unavailable(HOOK, name)
    return f"{text}. {unavailable}" if unavailable else text


def _model(target: Target) -> type[BaseModel]:
    if not _is_free(target.name):
        raise GvtError(
            f"{HOOK}: {target.name!r} is a name that gvt uses itself; choose another one"
        )
    model = target.load()
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise BrokenComponent(f"section {target.name!r}: {model!r} is not a pydantic model")
    return model


def _is_free(name: str) -> bool:
    """Return whether a name is not a field or another attribute of `RunConfig`."""
    return not (name in RunConfig.model_fields or hasattr(RunConfig, name))


def _can_be_kept(name: str, data: Mapping[str, Any]) -> bool:
    is_name = name.isidentifier() and not name.startswith(("_", "model_"))
    is_section = name in data and isinstance(data[name], dict | None)
    return is_name and is_section and _is_free(name)


@lru_cache(maxsize=64)
def _extended(
    models: tuple[tuple[str, type[BaseModel]], ...], kept: tuple[str, ...]
) -> type[RunConfig]:
    fields: dict[str, Any] = dict.fromkeys(kept, (dict[str, Any] | None, ...))
    for name, model in models:
        needs_values = any(field.is_required() for field in model.model_fields.values())
        default = (model | None, None) if needs_values else (model, Field(default_factory=model))
        fields[name] = default
    if not fields:
        return RunConfig
    return create_model("RunConfig", __base__=_WithSections, __module__=__name__, **fields)


class _WithSections(RunConfig):
    """A configuration that can be pickled although its class is created at run time."""

    def __reduce__(self) -> tuple[Callable[..., RunConfig], tuple[dict[str, Any]]]:
        return _restored, (self.document(),)


def _restored(document: dict[str, Any]) -> RunConfig:
    return model_for(document, document).model_validate(document)
