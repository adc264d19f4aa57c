"""`gvt plugin check` and `gvt plugin new`. What they need is imported when they are called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import debug_option, plugin_option
from gvt.printable import emit
from gvt_registry import KINDS


@click.group(short_help="Check a plugin, or begin one.")
def plugin() -> None:
    """Check a plugin, or begin one."""


@plugin.command("check", short_help="Check a plugin against the rules.")
@click.argument("name")
@plugin_option
@debug_option
@click.pass_context
def check(ctx: click.Context, name: str) -> None:
    """Check every component of a plugin against the rules for its kind.

    NAME is that of its entry point, as `gvt plugin list` has it, or of a file given by --plugin.
    """
    from gvt_author.testing import report

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
    from gvt_author.scaffold import create
    from gvt_author.scaffold.names import Names

    plugin_name = Names.of(distribution).plugin  # before it is there, and its name taken
    folder = create(distribution, kind, Path())
    emit(f"{folder}; go on with:\n  pip install -e {folder}\n  gvt plugin check {plugin_name}")
