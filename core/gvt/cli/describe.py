"""`gvt show`: what a component is and takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from gvt.cli.listing import aligned
from gvt.config import compose, load_recipe
from gvt.config.injected import INJECTED, NETWORKS
from gvt.config.parameters import declaring, signature_of
from gvt.data.facts import DataFacts
from gvt.errors import ConfigError, DataError, UsageError
from gvt.session.build import build_task, create, open_dataset
from gvt_registry import KINDS, Offer, default_registry, nearest

EXAMPLE_SHAPE = (1, 28, 28)
EXAMPLE_CLASSES = 10
EXAMPLE_FEATURES = {"stage1": (32, 2), "stage2": (64, 4)}

_SECTIONS = re.compile(r"\n\n(?=[A-Z]\w+:\n {4})")
_ENTRY = re.compile(r"^    \w+: .*(?:\n {5,}.*)*", re.MULTILINE)


def describe(name: str) -> str:
    """Return the description of every component of a name, or of one `KIND:NAME`.

    Raises:
        UsageError: If there is none.
    """
    registry = default_registry()
    kind, _, rest = name.partition(":")
    if kind in KINDS and rest:
        return _describe(registry.find(kind, rest))
    offers = [o for o in registry.offers() if o.component.name == name]
    if not offers:
        known = [o.component.name for o in registry.offers()]
        raise UsageError(f"nothing is called {name!r}{nearest(name, known) or '; see: gvt list'}")
    # A name that two plugins claim is an error; `find` names both.
    return "\n\n".join(_describe(registry.find(o.component.kind, name)) for o in offers)


def _describe(offer: Offer) -> str:
    component = offer.component
    lines = [f"{component.kind} {component.name}", component.summary]
    lines += [f"plugin {offer.plugin}, {offer.origin}", ""]
    if component.kind == "recipe":
        lines += _recipe(component.name)
    else:
        lines += _component(offer)
    return "\n".join(lines)


def _recipe(name: str) -> list[str]:
    _, text, _ = load_recipe(name)
    config = compose(name)
    try:
        facts = DataFacts.of(open_dataset(config, "train"), config)
    except (ConfigError, DataError) as error:
        return [text.rstrip(), "", f"its size is not known without its data: {error}"]
    task = build_task(config, facts)
    sizes = [(n, f"{_count(m):,} parameters") for n, m in task.named_children()]
    sizes.append(("all", f"{_count(task):,} parameters"))
    return [text.rstrip(), "", aligned(sizes)]


def _component(offer: Offer) -> list[str]:
    target = offer.load()
    text = documentation(target)
    declared, _ = signature_of(target)
    filled_in = INJECTED.get(offer.component.kind, frozenset())
    own = [p for p in declared.values() if p.name not in filled_in]
    rows = [
        (p.name, p.type_name, "required" if p.required else f"default {p.default!r}") for p in own
    ]
    lines = [text, ""] if text else []
    lines += ["parameters", aligned(rows) if rows else "  none"]
    return [*lines, *_size(offer, target)]


def documentation(target: Callable[..., Any]) -> str:
    """Return a docstring in which also those parameters are explained that others declare.

    An explanation in the docstring itself is preferred to that of a base class or of what the
    parameters are passed on to.
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


def _size(offer: Offer, target: Any) -> list[str]:
    """Return the parameter count of a network as it comes, on an example of data."""
    declared, _ = signature_of(target)
    example = {
        "image_shape": EXAMPLE_SHAPE,
        "num_classes": EXAMPLE_CLASSES,
        "feature_info": EXAMPLE_FEATURES,
        "background": False,
    }
    given = {n: v for n, v in example.items() if n in declared}
    needed = {n for n, p in declared.items() if p.required}
    if offer.component.kind not in (*NETWORKS, "head") or not needed <= given.keys():
        return []  # what it is built from is not known here
    try:
        built = create(offer.component.kind, offer.component.name, **given)
    except ConfigError as error:  # the example does not suit it
        return ["", str(error)]
    shape = "x".join(str(side) for side in EXAMPLE_SHAPE)
    suits = {"image_shape": f"images {shape}", "feature_info": f"features {EXAMPLE_FEATURES}"}
    of = "".join(f" for {text}" for name, text in suits.items() if name in given)
    return ["", f"{_count(built):,} parameters{of}"]


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
