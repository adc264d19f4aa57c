"""How a component was made: its kind, name and parameters, which the component remembers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from gvt.config.injected import FACTS, INJECTED
from gvt.config.named import taking_names
from gvt.config.networks import networks_of
from gvt.config.parameters import Parameter, Unbuilt, signature_of
from gvt.config.paths import items_in

CODE = "(code)"
"""Name in a saved configuration of a part that was built in code, and that no recipe describes."""


@dataclass(frozen=True)
class Made:
    """How a component was made.

    Attributes:
        kind: Kind of the component.
        name: Name in the registry.
        parameters: Its parameters as in a recipe; None if a recipe cannot give them.
        facts: Its parameters that follow from the data or the backbone, and those of the
            components in it.
        parts: For a task, its networks and heads by their sections of a recipe.
    """

    kind: str
    name: str
    parameters: Mapping[str, Any] | None
    facts: Mapping[str, Any]
    parts: Mapping[str, Any]


def made_of(component: Any) -> Made | None:
    """Return how a component was made; None if neither `gvt.create` nor a recipe built it."""
    made = getattr(component, "__dict__", {}).get("gvt_made")  # not of what it wraps
    return made if isinstance(made, Made) else None


def section_of_made(component: Any) -> dict[str, Any]:
    """Return the section of a recipe that makes a component, or one with the name `CODE`."""
    made = made_of(component)
    if made is None or made.parameters is None:
        return {"name": CODE}
    return {"name": made.name, **made.parameters}


def remember(
    component: Any, of: Unbuilt, arguments: Mapping[str, Any], parts: Mapping[str, Any]
) -> None:
    """Let a component remember how it was made, unless it is an object without attributes.

    Args:
        component: The component.
        of: Its kind, name and parameters.
        arguments: All arguments of the constructor.
        parts: For a task, its networks and heads by their sections of a recipe.
    """
    declared, _ = signature_of(of.target)
    injected = INJECTED.get(of.kind, frozenset()) | networks_of(of.kind, of.target).keys()
    names = injected & {*FACTS, *INJECTED["dataset"]}
    facts = {n: arguments.get(n, p.default) for n, p in declared.items() if n in names}
    parameters: dict[str, Any] | None = None
    with suppress(TypeError, ValueError):
        settings = {n: v for n, v in of.given.items() if n not in injected}
        parameters = {n: _as_data(declared.get(n), value) for n, value in settings.items()}
    inner = (made_of(item) for _, item in items_in("", dict(arguments)) if of.kind != "task")
    for key, value in (item for made in inner if made for item in made.facts.items()):
        if key != "feature_info" and not same_facts(facts.setdefault(key, value), value):
            parameters = None
    with suppress(AttributeError, TypeError):
        component.gvt_made = Made(of.kind, of.name, parameters, facts, parts)


def same_facts(fact: Any, other: Any) -> bool:
    """Return whether two facts are equal as plain data, in which a tuple is a list."""
    texts = (json.dumps(value, sort_keys=True, default=str) for value in (fact, other))
    return len({*texts}) == 1


def _as_data(parameter: Parameter | None, value: Any) -> Any:
    """Return the value of a parameter as plain data, with components as sections of a recipe.

    Raises:
        TypeError: If an object in it is neither, or the parameter does not take components.
        ValueError: If a number is infinite or NaN.
    """
    annotation = Any if parameter is None else parameter.annotation
    takes_components = taking_names(annotation, lambda *_: None) is not annotation

    def data(item: Any) -> Any:
        section = section_of_made(item)
        if section["name"] != CODE and takes_components:
            return section
        if isinstance(item, PurePath):
            return str(item)
        raise TypeError(f"a {type(item).__name__} is not plain data")

    return json.loads(json.dumps(value, default=data, allow_nan=False))
