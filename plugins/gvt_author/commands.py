"""`gvt plugin check` and `gvt plugin new`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import debug_option, plugin_option
from gvt.printable import emit
from gvt_registry import KINDS


@click.group(short_help="Check a plugin, or create one.")
def plugin() -> None:
    """Check a plugin, or create one."""


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
