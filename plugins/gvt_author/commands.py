"""`gvt doctor` and `gvt plugin`. Each command imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import debug_option, plugin_option
from gvt.printable import emit
from gvt_registry import KINDS


@click.group(invoke_without_command=True, short_help="List, check and create plugins.")
@click.pass_context
def plugin(ctx: click.Context) -> None:
    """List, check and create plugins."""
    if ctx.invoked_subcommand is None:
        emit(ctx.get_help())


@plugin.command("list", short_help="List plugins with their states.")
@plugin_option
@debug_option
def list_plugins() -> None:
    """List plugins with their states, import times and offers.

    A plugin is ok, broken (it cannot be imported), blocked (by GVT_BLOCK_PLUGINS, --only-plugins
    or the settings file, whose path `gvt doctor` prints) or incompatible (written for another
    version of the plugin API).
    """
    from gvt_author.installed import table

    emit(table())


@plugin.command("check", short_help="Check a plugin for conformance.")
@click.argument("name")
@plugin_option
@debug_option
@click.pass_context
def check(ctx: click.Context, name: str) -> None:
    """Check every component of a plugin against the rules for its kind.

    NAME is the name of its entry point, as shown by `gvt plugin list`, or of a file given by
    --plugin.
    """
    from gvt_author.testing import report

    if not report(name, emit):
        ctx.exit(1)


@plugin.command("new", short_help="Create a new plugin.")
@click.argument("distribution")
@click.option(
    "--kind",
    required=True,
    type=click.Choice([*KINDS, "hooks"]),
    metavar="KIND",
    help=f"What the plugin offers: `hooks`, or a component: {', '.join(KINDS)}.",
)
@debug_option
def new(distribution: str, kind: str) -> None:
    """Create a DISTRIBUTION, such as gvt-blur, in a folder of this name.

    It has a working component, a recipe, tests and a README, and can be installed as it is.
    """
    from gvt_author.scaffold import create
    from gvt_author.scaffold.names import Names

    plugin_name = Names.of(distribution).plugin  # first: the name is taken afterwards
    folder = create(distribution, kind, Path())
    emit(f"{folder}; continue with:\n  pip install -e {folder}\n  gvt plugin check {plugin_name}")


@click.command(short_help="Show versions, devices, plugins, data.")
@plugin_option
@debug_option
def doctor() -> None:
    """Show versions, devices, plugins and data, for a bug report."""
    from gvt_author.diagnosis import diagnosis

    emit(diagnosis())
