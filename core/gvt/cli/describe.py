"""`gvt show`: the description and parameters of a recipe or a component."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from gvt.cli.listing import aligned
from gvt.config import compose, load_recipe
from gvt.config.injected import INJECTED, NETWORKS
from gvt.config.networks import networks_of, section_of
from gvt.config.parameters import Parameter, declaring, signature_of
from gvt.data_info import DataInfo
from gvt.errors import ConfigError, DataError, UsageError
from gvt.session.build import build_task, open_dataset
from gvt.session.component import create
from gvt_registry import KINDS, Offer, default_registry, nearest

EXAMPLE: dict[str, Any] = {
    "image_shape": (1, 28, 28),
    "num_classes": 10,
    "feature_info": {"stage1": (32, 2), "stage2": (64, 4)},
    "background": False,
}
"""Arguments of a network or head whose parameters are counted."""

_SECTIONS = re.compile(r"\n\n(?=[A-Z]\w+:\n {4})")
_ENTRY = re.compile(r"^    \w+: .*(?:\n {5,}.*)*", re.MULTILINE)


def describe(name: str) -> str:
    """Return the description of all components called `name`, or of one `KIND:NAME`.

    Raises:
        UsageError: If no component is called so.
    """
    registry = default_registry()
    kind, _, rest = name.partition(":")
    if kind in KINDS and rest:
        return _describe(registry.find(kind, rest))
    offers = [o for o in registry.offers() if o.component.name == name]
    if not offers:
        names = [o.component.name for o in registry.offers()]
        hint = nearest(name, names) or "; see: gvt list"
        raise UsageError(f"there is no recipe or component {name!r}{hint}")
    # `find` raises an error if two plugins offer a component of that name.
    return "\n\n".join(_describe(registry.find(o.component.kind, name)) for o in offers)


def _describe(offer: Offer) -> str:
    component = offer.component
    lines = [f"{component.kind} {component.name}", component.summary]
    lines += [f"plugin {offer.plugin}, {offer.origin}", ""]
    lines += _recipe(component.name) if component.kind == "recipe" else _component(offer)
    return "\n".join(lines)


def _recipe(name: str) -> list[str]:
    _, text, _ = load_recipe(name)
    config = compose(name)
    try:
        info = DataInfo.of(open_dataset(config, "train"), config.data.range)
    except (ConfigError, DataError) as error:
        return [text.rstrip(), "", f"its size depends on its data: {error}"]
    task = build_task(config, info)
    sizes = [(n, f"{_count(m):,} parameters") for n, m in task.named_children()]
    sizes.append(("all", f"{_count(task):,} parameters"))
    return [text.rstrip(), "", aligned(sizes)]


def _component(offer: Offer) -> list[str]:
    target = offer.load()
    text = documentation(target)
    parameters, _ = signature_of(target)
    networks = networks_of(offer.component.kind, target)
    hidden = {*INJECTED.get(offer.component.kind, ()), *networks}
    needed = {
        name: "required" if p.required else f"default {p.default!r}"
        for name, p in parameters.items()
    }
    rows = [(n, p.type_name, needed[n]) for n, p in parameters.items() if n not in hidden]
    lines = [text, ""] if text else []
    lines += ["parameters", aligned(rows) if rows else "  none"]
    if networks:
        rows = [(section_of(name), kind, needed[name]) for name, kind in networks.items()]
        lines += ["", "networks", aligned(rows)]
    return [*lines, *_size(offer, parameters)]


def documentation(target: Callable[..., Any]) -> str:
    """Return a docstring completed with the parameters that other docstrings explain.

    An explanation in the docstring itself is preferred to that of a base class, or of the callable
    that the parameters are passed on to.
    """
    text = inspect.getdoc(target) or ""
    entries: dict[str, str] = {}
    for other in declaring(target):
        for member in inspect.getmro(other) if isinstance(other, type) else (other,):
            entries = {**_entries(inspect.getdoc(member) or ""), **entries}
    names = [name for name in signature_of(target)[0] if name in entries]
    if _entries(text).keys() >= {*names}:
        return text
    parts = [part for part in _SECTIONS.split(text) if not part.startswith("Args:")]
    arguments = "\n".join(["Args:", *(entries[name] for name in names)])
    return "\n\n".join([*parts[:1], arguments, *parts[1:]]).strip()


def _entries(text: str) -> dict[str, str]:
    """Return the entries under `Args:` of a docstring by the names of their parameters."""
    parts = [part for part in _SECTIONS.split(text) if part.startswith("Args:")]
    return {e.split(":")[0].strip(): e for part in parts for e in _ENTRY.findall(part)}


def _size(offer: Offer, parameters: Mapping[str, Parameter]) -> list[str]:
    """Return the parameter count of a network or head, built for an example of data."""
    arguments = {n: v for n, v in EXAMPLE.items() if n in parameters}
    required = {n for n, p in parameters.items() if p.required}
    kinds = (*NETWORKS, "network", "head")
    if offer.component.kind not in kinds or not required <= arguments.keys():
        return []  # the example lacks an argument
    try:
        module = create(offer.component.kind, offer.component.name, **arguments)
    except ConfigError as error:  # it cannot be built for the example
        return ["", str(error)]
    features = f"features {EXAMPLE['feature_info']}"
    inputs = {"image_shape": "images 1x28x28", "feature_info": features}
    suffix = "".join(f" for {text}" for name, text in inputs.items() if name in arguments)
    return ["", f"{_count(module):,} parameters{suffix}"]


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
