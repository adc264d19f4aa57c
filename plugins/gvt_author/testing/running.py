"""Run all checks of a plugin, one by one or as a report."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

from gvt import UsageError
from gvt_author.testing.check import RULES, Check, Failed, Skipped
from gvt_registry import Plugin, default_registry, nearest

_MODULES = (
    "listing",
    "declared",
    "networks",
    "splitting",
    "deployed",
    "learning",
    "padding",
    "data",
    "measures",
    "weightings",
    "optimisation",
    "transforming",
    "trained",
    "partners",
    "neighbour",
    "recipes",
)
"""The modules with the rules; importing them imports torch."""


def checks(plugin: str) -> list[Check]:
    """Return all checks of a plugin, in the order of its components and of the rules.

    Args:
        plugin: Name of the plugin, as shown by `gvt plugin list`.

    Raises:
        UsageError: If there is no such plugin, or it cannot be loaded.
    """
    loaded = _plugin(plugin)
    for module in _MODULES:
        importlib.import_module(f"gvt_author.testing.{module}")
    subjects: list[tuple[str, str, object]] = [("plugin", f"plugin:{plugin}", loaded)]
    for offer in default_registry().offers():
        if offer.plugin == plugin:
            kind = offer.component.kind
            subjects.append((kind, f"{kind}:{offer.component.name}", offer))
    _check_state(loaded)  # listing its components may have failed
    return [
        Check(label, rule.name, rule.description, partial(rule.function, subject))
        for kind, label, subject in subjects
        for rule in RULES
        if kind in rule.kinds
    ]


def report(plugin: str, echo: Callable[[str], None]) -> bool:
    """Check a plugin, and echo a line for each component, then the skipped and failed checks.

    Args:
        plugin: Name of the plugin.
        echo: Function that is called with each line, without a line end.

    Returns:
        Whether no check failed.

    Raises:
        UsageError: If there is no such plugin, or it cannot be loaded.
    """
    by_component: dict[str, list[Check]] = {}
    for check in checks(plugin):
        by_component.setdefault(check.component, []).append(check)
    width = max(map(len, by_component))
    failures: list[str] = []
    reasons: dict[str, list[str]] = {}
    passed = 0
    for component, of_component in by_component.items():
        outcome: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
        for check in of_component:
            how, message = _outcome(check)
            outcome[how].append(check.rule)
            if how == "failed":
                failures.append(message)
            elif how == "skipped":
                reasons.setdefault(message.removeprefix(f"{check.id}: "), []).append(check.id)
        passed += len(outcome["passed"])
        parts = [f"{how}: {', '.join(rules)}" for how, rules in outcome.items() if rules]
        echo(f"{component:{width}}  {'; '.join(parts)}")
    for reason, ids in reasons.items():
        echo(f"skipped: {reason} ({len(ids)}: {', '.join(ids[:3])}{', ...' if ids[3:] else ''})")
    for message in failures:
        echo(f"FAILED {message}")
    skipped = sum(map(len, reasons.values()))
    echo(f"{passed} passed, {len(failures)} failed, {skipped} skipped")
    return not failures


def _outcome(check: Check) -> tuple[str, str]:
    try:
        check()
    except Failed as failed:
        return "failed", str(failed)
    except Skipped as skipped:
        return "skipped", str(skipped)
    return "passed", ""


def _plugin(name: str) -> Plugin:
    plugins = {plugin.name: plugin for plugin in default_registry().plugins}
    if name not in plugins:
        hint = nearest(name, plugins) or f"; the plugins are {', '.join(plugins)}"
        raise UsageError(f"no plugin is called {name!r}{hint}")
    _check_state(plugins[name])
    return plugins[name]


def _check_state(plugin: Plugin) -> None:
    if plugin.state != "ok":
        raise UsageError(
            f"plugin {plugin.name!r} is {plugin.state}: {plugin.problem}", details=plugin.details
        )
