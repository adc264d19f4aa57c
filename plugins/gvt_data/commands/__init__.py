"""`gvt data show` and `gvt data check`. What they need is imported when they are called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit


@click.group(short_help="Look at a recipe's data, or check it.")
def data() -> None:
    """Look at a recipe's data, or check it."""


@data.command("show", short_help="Draw samples with their targets.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", default="train", show_default=True, help="What is drawn.")
@click.option(
    "-n", "--count", default=64, show_default=True, type=click.IntRange(1), help="How many."
)
@click.option(
    "-o",
    "--out",
    default="data.png",
    show_default=True,
    type=Output(".png"),
    help="Where to write the PNG.",
)
@plugin_option
@debug_option
def show_data(recipe: str, overrides: tuple[str, ...], split: str, count: int, out: Path) -> None:
    """Draw samples of a recipe's data as a sheet, with their targets.

    Those of the training are drawn as it sees them, augmented.
    """
    from .sheet import save_sheet_of

    save_sheet_of(recipe, overrides, split, count, out)
    emit(out)


@data.command("check", short_help="Read everything once.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def check_data(recipe: str, overrides: tuple[str, ...]) -> None:
    """Read a recipe's data once, all of it.

    It tells what is unreadable, of which sizes and colour modes the files are, what is there
    twice or in two splits, and how many there are of each class.
    """
    from .check import check

    emit(check(recipe, overrides))
