"""`gvt plugin`: what is installed, and in which state."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap

import click

from gvt.cli.listing import aligned
from gvt.cli.options import debug_option, plugin_option
from gvt.printable import emit
from gvt_registry import Offer, Plugin, default_registry

HEADINGS = ("name", "distribution", "version", "API", "state", "ms", "offers, or why not")
EMPTY = ("",) * (len(HEADINGS) - 1)

FURTHER = {
    "gvt_commands": "commands",
    "gvt_sections": "sections of recipes",
    "gvt_names": "names of gvt",
}
"""What a plugin offers besides components, by the hook that says it."""

WIDTH = 80
LEAST = 24
"""Columns of the whole table, and of its last column if the others leave less."""


@click.group(invoke_without_command=True, short_help="List the plugins, and work on one.")
@click.pass_context
def plugin(ctx: click.Context) -> None:
    """List the plugins that are installed, and work on one."""
    if ctx.invoked_subcommand is None:
        emit(ctx.get_help())


@plugin.command("list", short_help="List plugins, whatever their state.")
@plugin_option
@debug_option
def list_plugins() -> None:
    """List plugins with their state, the time of their import, and what they offer.

    A plugin is ok, broken (it cannot be imported), blocked (by GVT_BLOCK_PLUGINS, the settings
    file that `gvt doctor` names, or --only-plugins) or incompatible (written for another version
    of the plugin API).
    """
    emit(table())


def table() -> str:
    """Return all plugins with what became of them, and what is odd about those that work."""
    registry = default_registry()
    by_plugin: dict[str, list[Offer]] = {}
    for offer in registry.offers():  # first, since a plugin may turn out to be broken by it
        by_plugin.setdefault(offer.plugin, []).append(offer)
    plugins = list(registry.plugins)
    if not plugins:
        return "there are no plugins"
    heads = [HEADINGS[:-1], *map(_state, plugins)]
    room = WIDTH - sum(max(map(len, column)) + 2 for column in zip(*heads, strict=True))
    rows: list[tuple[str, ...]] = [HEADINGS]
    for plugin, head in zip(plugins, heads[1:], strict=True):
        # A reason stays on one line, which can be looked for.
        text = plugin.problem or _offered(plugin, by_plugin.get(plugin.name, []))
        lines = [text] if plugin.problem else wrap(text, max(room, LEAST))
        rows += [(*head, lines[0]), *((*EMPTY, line) for line in lines[1:])]
    blocks = [aligned(rows, indent="")]
    warnings = [(p.name, text) for p in plugins for text in p.warnings]
    if warnings:
        blocks.append(f"warnings\n{aligned(warnings)}")
    return "\n\n".join(blocks)


def _state(plugin: Plugin) -> tuple[str, ...]:
    """Return a plugin's row of the table but for the last column."""
    imported = plugin.state != "blocked"
    return (
        plugin.name,
        plugin.path.name if plugin.path else plugin.distribution,
        plugin.version or "-",
        "-" if plugin.api is None else str(plugin.api),
        plugin.state,
        f"{plugin.load_seconds * 1000:.0f}" if imported else "-",
    )


def _offered(plugin: Plugin, offers: list[Offer]) -> str:
    """Return what a plugin offers: of each kind the name, or how many there are."""
    parts = []
    for kind, group in groupby(offers, key=lambda offer: offer.component.kind):
        names = [offer.component.name for offer in group]
        plural = f"{kind}es" if kind.endswith("s") else f"{kind}s"
        parts.append(f"{kind} {names[0]}" if len(names) == 1 else f"{len(names)} {plural}")
    plugins = default_registry().plugins
    hooks = plugins.hooks_of(plugin)
    parts += [noun for hook, noun in FURTHER.items() if hook in hooks]
    if plugins.follows_runs(plugin):
        parts.append("run hooks")
    return "; ".join(parts) or "nothing"
