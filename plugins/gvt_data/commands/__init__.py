"""The commands `gvt data show` and `gvt data check`. Their imports are deferred to the call."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit


@click.group(short_help="Look at a recipe's data, or check it.")
def data() -> None:
    """Look at a recipe's data, or check it."""


@data.command("show", short_help="Draw samples of a recipe's data with their targets.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", default="train", show_default=True, help="Split to draw.")
@click.option(
    "-n",
    "--count",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Number of samples.",
)
@click.option(
    "-o",
    "--out",
    default="data.png",
    show_default=True,
    type=Output(".png"),
    help="PNG file to write.",
)
@plugin_option
@debug_option
def show_data(recipe: str, overrides: tuple[str, ...], split: str, count: int, out: Path) -> None:
    """Draw samples of a recipe's data with their targets on one sheet.

    Samples without images are written into files of the same name, such as data.txt and data.wav.

    Samples of the training split are drawn with augmentations, as the model sees them.
    """
    from .sheet import save_sheet_of

    for path in save_sheet_of(recipe, overrides, split, count, out):
        emit(path)


@data.command("check", short_help="Read all samples of a recipe's data once, and report problems.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def check_data(recipe: str, overrides: tuple[str, ...]) -> None:
    """Read all samples of a recipe's data once, and report problems.

    The report has unreadable samples, sizes and colour modes of the files, duplicates within and
    between splits, and the number of samples of each class.
    """
    from .check import check

    emit(check(recipe, overrides))
