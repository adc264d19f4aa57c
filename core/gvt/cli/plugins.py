"""`gvt plugin`: what is installed and in which state, whether it is right, and a new one."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from textwrap import wrap

import click

from gvt.cli.listing import aligned
from gvt.cli.options import debug_option, plugin_option
from gvt.printable import emit
from gvt_registry import KINDS, Offer, Plugin, default_registry

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


@click.group(invoke_without_command=True, short_help="List, check or begin plugins.")
@click.pass_context
def plugin(ctx: click.Context) -> None:
    """List the plugins that there are, check one, or begin a new one."""
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


@plugin.command("check", short_help="Check a plugin against the rules.")
@click.argument("name")
@plugin_option
@debug_option
@click.pass_context
def check(ctx: click.Context, name: str) -> None:
    """Check every component of a plugin against the rules for its kind.

    NAME is that of its entry point, as `gvt plugin list` has it, or of a file given by --plugin.
    """
    from gvt.testing import report

    if not report(name, emit):
        ctx.exit(1)


@plugin.command("new", short_help="Write a new plugin to begin with.")
@click.argument("distribution")
@click.option(
    "--kind",
    required=True,
    type=click.Choice([*KINDS, "hooks"]),
    metavar="KIND",
    help=f"What it offers: hooks that follow runs, or a component: {', '.join(KINDS)}.",
)
@debug_option
def new(distribution: str, kind: str) -> None:
    """Write a distribution such as gvt-blur into a folder of this name.

    It has a component that works, a recipe, tests and a README, and can be installed as it is.
    """
    from gvt.scaffold import create
    from gvt.scaffold.names import Names

    plugin_name = Names.of(distribution).plugin  # before it is there, and its name taken
    folder = create(distribution, kind, Path())
    emit(f"{folder}; go on with:\n  pip install -e {folder}\n  gvt plugin check {plugin_name}")


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
