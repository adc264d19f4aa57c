"""The commands. Each is thin; what it needs is imported when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli.evaluation import evaluate
from gvt.cli.options import Output, debug_option, plugin_option, shifted
from gvt.printable import emit
from gvt.screen import Screen
from gvt_registry import KINDS

if TYPE_CHECKING:
    from gvt.loop.listener import Run


def _files_of(run: Run) -> str:
    """Return the paths of what a run left, for people."""
    from gvt.runs.folder import RunFolder

    assert run.folder is not None
    folder = RunFolder(run.folder)
    sheets = sorted(folder.samples.glob("*.png"))
    found = {
        "samples": sheets[-1] if sheets else None,
        "progress": folder.progress,
        "losses": folder.losses_plot,
        "report": folder.report,
        "metrics": folder.metrics,
        "checkpoint": run.checkpoint,
    }
    return "\n".join(f"{n:<11}{p}" for n, p in found.items() if p is not None and p.exists())


def _report(run: Run) -> None:
    """Print what a run left; where that cannot be printed, the run is none the worse."""
    Screen.of(sys.stdout).essential = False
    if run.folder is not None:  # only the first of several processes has one
        emit(_files_of(run))


@click.command(short_help="Train a recipe.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def run(recipe: str, overrides: tuple[str, ...]) -> None:
    """Train a recipe: a name from `gvt list`, or a YAML file.

    A KEY=VALUE changes one of its settings: train.steps=500, data.classes=[5], device=cpu.
    """
    from gvt.session.api import run as run_recipe

    _report(run_recipe(recipe, *overrides))


@click.command(short_help="Go on with a run.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def resume(run: str | None, overrides: tuple[str, ...]) -> None:
    """Go on with a run: its folder, a checkpoint in it, or the latest one.

    train.steps=N extends it.
    """
    from gvt.session.api import resume as resume_run

    run, overrides = shifted(run, overrides)
    _report(resume_run(run, *overrides))


@click.command(short_help="Draw new pictures.")
@click.argument("run", required=False)
@click.option(
    "-n", "--count", default=64, show_default=True, type=click.IntRange(1), help="How many."
)
@click.option("--seed", default=0, show_default=True, help="Where their latents come from.")
@click.option(
    "-o",
    "--out",
    default="samples.png",
    show_default=True,
    type=Output(either=True),
    help="A PNG for all of them as a grid, or a folder for one PNG each.",
)
@click.option("--raw", is_flag=True, help="The weights as trained, not their moving average.")
@click.option("--device", default="auto", show_default=True, help="Where to compute.")
@plugin_option
@debug_option
def sample(run: str | None, count: int, seed: int, out: Path, raw: bool, device: str) -> None:
    """Draw new pictures with a checkpoint, or the last one of a run's folder.

    The latest run by default. Picture I of a seed is the same one whatever the count.
    """
    from gvt.runs.pictures import check_target, save_pictures
    from gvt.session.saved import sample as sample_checkpoint

    check_target(out)
    pictures = sample_checkpoint(run, count, seed, averaged=not raw, device=device)
    emit(save_pictures(pictures, out))


@click.command(short_help="Put a run on one page; compare several.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-o", "--out", type=Output(".html"), help="Where to write the page.")
@debug_option
def report(runs: tuple[str, ...], out: Path | None) -> None:
    """Put a run on one page for a browser, or compare several side by side.

    A RUN is a folder, or a checkpoint in one. Of one, the latest by default, the page is the
    report.html in its folder; of several it is comparison.html here. That of a run that is being
    trained takes -o FILE.
    """
    from contextlib import nullcontext

    from gvt.runs.report import write_report
    from gvt.runs.writer import sole_writer
    from gvt.session.finding import find_run

    folders = [find_run(run) for run in runs or (None,)]
    path = out or (folders[0].report if len(folders) == 1 else Path("comparison.html"))
    is_own = path == folders[0].report and folders[0].config.is_file()
    with sole_writer(folders[0].path, "reported") if is_own else nullcontext():
        write_report(folders, path)
    emit(path)


@click.command("list", short_help="List what plugins offer.")
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@plugin_option
@debug_option
def list_components(kind: str | None) -> None:
    """List what plugins offer: recipes, tasks, networks, data sets."""
    from gvt.cli.listing import listing

    emit(listing(kind))


@click.command(short_help="Describe a recipe or a component.")
@click.argument("name")
@plugin_option
@debug_option
def show(name: str) -> None:
    """Describe a recipe or a component: parameters, plugin, size.

    Where several kinds share a NAME, all are shown; KIND:NAME is one of them.
    """
    from gvt.cli.describe import describe

    emit(describe(name))


@click.command(short_help="Print a recipe, to be changed.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def config(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe in YAML, to be changed and run.

    gvt config gan.mnist > mine.yaml
    """
    from gvt.config.compose import recipe_text

    emit(recipe_text(recipe, overrides), end="")


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
    from gvt.cli.data import save_sheet_of

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
    from gvt.cli.data import check

    emit(check(recipe, overrides))


@click.command(short_help="Tell what a checkpoint is.")
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
def inspect(file: Path) -> None:
    """Tell what a checkpoint is: recipe, step, metrics, plugins, tensors."""
    from gvt.cli.inspection import inspection

    emit(inspection(file))


@click.command(short_help="Show versions, devices, plugins, data.")
@plugin_option
@debug_option
def doctor() -> None:
    """Show versions, devices, plugins and data, to be pasted into a bug report."""
    from gvt.cli.diagnosis import diagnosis

    emit(diagnosis())


COMMANDS = [
    run,
    resume,
    evaluate,
    sample,
    report,
    list_components,
    show,
    config,
    data,
    inspect,
    doctor,
]
