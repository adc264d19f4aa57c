"""`gvt plugin`: the plugins and their states."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap

import click

from gvt.cli.listing import aligned, warnings_of
from gvt.cli.options import common_options
from gvt.printable import emit
from gvt_registry import Offer, Plugin, default_registry

HEADINGS = ("name", "distribution", "version", "API", "state", "ms", "offers, or problem")
EMPTY = ("",) * (len(HEADINGS) - 1)

FURTHER = {
    "gvt_commands": "commands",
    "gvt_sections": "sections of recipes",
    "gvt_names": "names of gvt",
    "gvt_fields": "fields of samples",
}
"""What a plugin offers besides components, by hook."""

WIDTH = 80
"""Characters of a line of the table."""

LEAST = 24
"""Least characters of the last column."""


@click.group(invoke_without_command=True, short_help="List and manage plugins.")
@click.pass_context
def plugin(ctx: click.Context) -> None:
    """List and manage plugins."""
    if ctx.invoked_subcommand is None:
        emit(ctx.get_help())


@plugin.command("list", short_help="List plugins with their states.")
@common_options
def list_plugins() -> None:
    """List plugins with their states, import times and offers.

    A plugin is ok, broken (it cannot be imported), blocked (by GVT_BLOCK_PLUGINS, --only-plugins
    or the settings file, whose path `gvt doctor` prints) or incompatible (written for another
    version of the plugin API).
    """
    emit(table())


def table() -> str:
    """Return the table of all plugins, and their warnings."""
    registry = default_registry()
    offers = registry.offers()  # first, since it finds the plugins whose hooks fail
    plugins = list(registry.plugins)
    if not plugins:
        return "there are no plugins"
    states = [HEADINGS[:-1], *map(_state, plugins)]
    width = WIDTH - sum(max(map(len, column)) + 2 for column in zip(*states, strict=True))
    rows: list[tuple[str, ...]] = [HEADINGS]
    for plugin, state in zip(plugins, states[1:], strict=True):
        # A problem is not wrapped, so that it can be searched for.
        text = plugin.problem or _offers(plugin, offers)
        lines = [text] if plugin.problem else wrap(text, max(width, LEAST))
        rows += [(*state, lines[0]), *((*EMPTY, line) for line in lines[1:])]
    return "\n\n".join([aligned(rows, indent=""), *warnings_of(plugins)])


def _state(plugin: Plugin) -> tuple[str, ...]:
    """Return a plugin's row of the table, without the last column."""
    return (
        plugin.name,
        plugin.path.name if plugin.path else plugin.distribution,
        plugin.version or "-",
        "-" if plugin.api is None else str(plugin.api),
        plugin.state,
        "-" if plugin.state == "blocked" else f"{plugin.load_seconds * 1000:.0f}",
    )


def _offers(plugin: Plugin, offers: list[Offer]) -> str:
    """Return what a plugin offers: for each kind the name of one component, or a count.

    Args:
        plugin: The plugin.
        offers: The components of all plugins, by kind.
    """
    parts = []
    components = [offer.component for offer in offers if offer.plugin == plugin.name]
    for kind, group in groupby(components, key=lambda component: component.kind):
        names = [component.name for component in group]
        plural = f"{kind}es" if kind.endswith("s") else f"{kind}s"
        parts.append(f"{kind} {names[0]}" if len(names) == 1 else f"{len(names)} {plural}")
    plugins = default_registry().plugins
    hooks = plugins.hooks_of(plugin)
    parts += [noun for hook, noun in FURTHER.items() if hook in hooks]
    if plugins.follows_runs(plugin):
        parts.append("run hooks")
    return "; ".join(parts) or "nothing"
