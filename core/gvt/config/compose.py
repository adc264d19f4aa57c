"""Build a configuration from a recipe and overrides."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gvt.config import schema, sections, text
from gvt.config.injected import NETWORKS
from gvt.config.plain import plain
from gvt.errors import ConfigError
from gvt.printable import printable, quoted, shortened
from gvt_registry import default_registry, nearest

_MODELS: dict[str, type[schema.ComponentConfig]] = {
    "data": schema.DataConfig,
    "heads": schema.HeadConfig,
    "optimizers": schema.OptimizerConfig,
}
"""Models of the sections that also have keys which are not parameters of their component."""


def load_recipe(recipe: str | os.PathLike[str]) -> tuple[str, str, str]:
    """Return the name of a recipe, its YAML text, and its origin for messages.

    Args:
        recipe: A name in the registry, or the path of a YAML file.

    Raises:
        ConfigError: If the file cannot be read.
        UnknownComponent: If no plugin offers a recipe of that name.
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        where = shortened(printable(recipe))
        return path.stem, text.read_yaml(path, where), where
    name = os.fspath(recipe)
    offer = default_registry().find("recipe", name)
    where = f"recipe {name} ({offer.origin})"
    if isinstance(offer.component.target, Mapping):  # registered in code
        return name, text.dump_yaml(dict(offer.component.target)), where
    package, _, file = str(offer.component.target).partition(":")
    try:
        source = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    except (Exception, SystemExit) as error:  # importing its package may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: its file {file!r} cannot be read: {reason}") from error
    return name, source, where


def compose(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | schema.RunConfig,
    overrides: Sequence[str] = (),
) -> schema.RunConfig:
    """Return the validated configuration of a recipe with overrides such as `train.steps=200`.

    Args:
        recipe: A recipe's name, the path of a YAML file, its content, or a configuration.
        overrides: `dotted.path=value`, the value in YAML.

    Raises:
        ConfigError: If it is not valid. The message names the setting and the nearest valid name.
    """
    original: dict[str, Any] = {}
    if isinstance(recipe, schema.RunConfig):
        where, original, data = "the recipe", recipe.document(), recipe.document()
    elif isinstance(recipe, Mapping):
        where, data = "the recipe", plain(recipe, "the recipe")
    else:
        name, source, where = load_recipe(recipe)
        data = text.parse_yaml(source, where)
        if isinstance(data, dict):
            data.setdefault("recipe", name)
    if not isinstance(data, dict):
        raise ConfigError(
            f"{where}: a recipe must be a mapping with keys such as task, data, train"
        )
    apply_overrides(data, overrides)
    _drop_removed(data)
    unchanged = [name for name, section in original.items() if data.get(name) == section]
    return validate(data, where, keep=unchanged)


def _drop_removed(data: dict[str, Any]) -> None:
    """Remove the networks and heads that are null, and the weights of their losses."""
    task = data.get("task")
    weights = task.get("weights") if isinstance(task, dict) else None
    for values in (data.get("networks"), data.get("heads")):
        components = values if isinstance(values, dict) else {}
        for name in [name for name, component in components.items() if component is None]:
            del components[name]
            if isinstance(weights, dict):
                weights.pop(name, None)


def recipe_text(recipe: str | os.PathLike[str], overrides: Sequence[str] = ()) -> str:
    """Return the YAML text of a recipe with overrides applied; comments are kept.

    Raises:
        ConfigError: If the result is not a valid recipe.
    """
    compose(recipe, overrides)
    _, source, where = load_recipe(recipe)
    if not overrides:
        return source
    data = text.parse_keeping_comments(source, where)
    apply_overrides(data, overrides)
    return text.dump_yaml(data)


def validate(
    data: Mapping[str, Any], where: str, *, keep: Collection[str] = ()
) -> schema.RunConfig:
    """Return the configuration for plain data.

    Args:
        data: The content of a recipe, or the configuration in a checkpoint.
        where: Its origin, for messages.
        keep: Names of sections that are kept as they are if no plugin defines them. Other
            sections without a plugin are errors.

    Raises:
        ConfigError: If it is not plain data, or does not fit the schema.
    """
    data = plain(data, where)
    model = sections.model_for(data, keep)
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problems: dict[tuple[str, str], list[str]] = {}
        for entry in error.errors(include_url=False):
            path, message, suffix = _problem(entry, data, model)
            problems.setdefault((path, suffix), []).append(message)
        (path, suffix), messages = next(iter(problems.items()))
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        # Each branch of a union has a message; together they list the allowed values.
        raise ConfigError(
            f"{where}: {path}: {' or '.join(dict.fromkeys(messages))}{suffix}{more}"
        ) from error


def apply_overrides(data: MutableMapping[str, Any], overrides: Sequence[str]) -> None:
    """Apply overrides `dotted.path=value` to the data of a recipe, in place.

    A new `name` removes the parameters of the previous component, and `train.steps` replaces
    `train.epochs`.

    Raises:
        ConfigError: If an override is malformed, its path leads through a value that is not a
            mapping, or it removes a network or a head that does not exist; or if a network has two
            sections.
    """
    _shorten(data)
    parsed = [parse_override(override) for override in overrides]
    # Names first, since setting one removes the parameters of the previous component.
    for keys, value in sorted(parsed, key=lambda item: item[0][-1] != "name"):
        _set(data, keys, value)
    budgets = {k[1] for k, _ in parsed if k in (["train", "steps"], ["train", "epochs"])}
    if len(budgets) == 1 and isinstance(data.get("train"), MutableMapping):
        data["train"].pop(({"steps", "epochs"} - budgets).pop(), None)


def _shorten(data: MutableMapping[str, Any]) -> None:
    """Move networks to the sections of their names, such as `networks.generator` to `generator`."""
    networks = data.get("networks")
    for name in NETWORKS:
        if isinstance(networks, MutableMapping) and name in networks:
            if data.get(name) is not None:
                raise ConfigError(f"networks.{name}: is given as {name}, too; remove one")
            data[name] = networks.pop(name)


def parse_override(override: str) -> tuple[list[str], Any]:
    """Return the keys of the path of an override, and its value.

    Those of `networks.generator` are those of `generator`.

    Raises:
        ConfigError: If it is not `dotted.path=value`, or the value is not valid YAML.
    """
    path, separator, value = override.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(f"{quoted(override)}: an override must be section.key=value")
    if keys[0] == "networks" and keys[1:2] and keys[1] in NETWORKS:
        del keys[0]
    return keys, text.parse_value(path.strip(), value, f"override {quoted(override)}")


def _set(data: MutableMapping[str, Any], keys: list[str], value: Any) -> None:
    submodule: list[str] = []  # in some sections keys are names of submodules, with dots
    match keys:
        case ["train", "unfreeze", *submodule] | ["optimizers", _, "rates", *submodule]:
            keys = [*keys[: -len(submodule)], ".".join(submodule)] if submodule else keys
    section: Any = data
    for depth, key in enumerate(keys[:-1]):
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, MutableMapping):
            raise ConfigError(
                f"{'.'.join(keys)}: {'.'.join(keys[: depth + 1])} is {quoted(section)}, which has "
                "no keys"
            )
    if submodule:
        _set_named(section, keys, value)
        return
    names = [str(name) for name in section]
    is_named = keys[0] in ("heads", "networks") and len(keys) == 2
    if is_named and value is None and keys[1] not in names:
        # A mistyped name would remove nothing.
        hint = nearest(keys[1], names) or f"; its {keys[0]}: {', '.join(names) or 'none'}"
        raise ConfigError(f"{'.'.join(keys)}=null: the recipe has no such {keys[0][:-1]}{hint}")
    if keys[-1] == "name" and section.get("name") not in (None, value):
        model = _MODELS.get("" if "schedule" in keys else keys[0], schema.ComponentConfig)
        for parameter in set(section) - set(model.model_fields) | {"name"}:
            del section[parameter]
    section[keys[-1]] = value


def _set_named(section: MutableMapping[str, Any], keys: Sequence[str], value: Any) -> None:
    """Set the value of a submodule, whose name may be nested mappings in the recipe."""
    try:
        values = schema.by_dotted_name(section)
    except ValueError as error:
        raise ConfigError(f"{'.'.join(keys[:-1])}: {error}") from error
    if values.keys() != section.keys():
        section.clear()
        section.update(values)
    section.update(schema.by_dotted_name({keys[-1]: value}))


def _problem(problem: Any, data: Any, model: type[BaseModel]) -> tuple[str, str, str]:
    """Return the path in the recipe of a pydantic error, its message, and the invalid value."""
    path: list[str] = []
    kind, value = problem["type"], problem["input"]
    for step in problem["loc"]:
        if isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        elif isinstance(data, dict) and (step in data or kind == "missing"):
            data = data.get(step)
        elif isinstance(data, dict) and f"{step}".partition(".")[0] in data:
            path.append(f"{step}")  # a dotted name, written as nested mappings
            break
        else:  # the name of a branch of a union, which is not a key of the recipe
            break
        path.append(str(step))
    where, suffix = ".".join(path) or "recipe", f", not {quoted(value)}"
    if kind == "extra_forbidden":
        names = _fields(model, path[:-1])
        hint = f"; known: {', '.join(names)}{sections.missing(path[0]) if len(path) == 1 else ''}"
        return where, f"unknown key{nearest(path[-1], names) or hint}", ""
    if kind == "missing":
        is_short = isinstance(value, list)
        return (where, "has too few values", suffix) if is_short else (where, "is missing", "")
    if kind == "string_pattern_mismatch":
        return where, "should be auto, cpu, cuda, cuda:1, mps or xpu", suffix
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return where, message, "" if kind == "value_error" else suffix


def _fields(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the names of the fields of the section at a path."""
    for key in path:
        annotation = model.model_fields[key].annotation
        choices = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)
