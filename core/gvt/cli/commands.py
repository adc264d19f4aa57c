"""The commands. Each is thin; what it needs is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli.options import debug_option, plugin_option
from gvt_registry import KINDS

if TYPE_CHECKING:
    from gvt.listener import Run


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


def _shifted(run: str | None, overrides: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return a run that was left out as None, where an override stands in its place."""
    if run is not None and "=" in run and not Path(run).exists():
        return None, (run, *overrides)
    return run, overrides


def _report(run: Run) -> None:
    if run.folder is not None:  # only the first of several processes has one
        click.echo(_files_of(run))


@click.command(short_help="Train a recipe.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def run(recipe: str, overrides: tuple[str, ...]) -> None:
    """Train a recipe: a name from `gvt list`, or a YAML file.

    A KEY=VALUE changes one of its settings: train.steps=500, data.classes=[5], device=cpu.
    """
    from gvt.api import run as run_recipe

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
    from gvt.api import resume as resume_run

    run, overrides = _shifted(run, overrides)
    _report(resume_run(run, *overrides))


@click.command("eval", short_help="Evaluate a checkpoint.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", help="What is evaluated; the recipe's final split by default.")
@click.option("--raw", is_flag=True, help="The weights as trained, not their moving average.")
@plugin_option
@debug_option
def evaluate(run: str | None, overrides: tuple[str, ...], split: str | None, raw: bool) -> None:
    """Evaluate a checkpoint, or the last one of a run's folder; the latest run by default.

    The figures are those of the training, to the last digit. Tables and the worst mistakes go
    into the run's folder as pictures.
    """
    from gvt.cli.listing import aligned
    from gvt.saved import evaluate_checkpoint

    run, overrides = _shifted(run, overrides)
    found = evaluate_checkpoint(run, *overrides, split=split, averaged=not raw)
    click.echo(aligned([(n, repr(v)) for n, v in found.metrics.items()], indent=""))


@click.command(short_help="Draw new pictures.")
@click.argument("run", required=False)
@click.option("-n", "--count", default=64, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True, help="Where their latents come from.")
@click.option(
    "-o",
    "--out",
    default="samples.png",
    show_default=True,
    type=click.Path(path_type=Path),
    help="A PNG for all of them as a grid, or a folder for one PNG each.",
)
@click.option("--raw", is_flag=True, help="The weights as trained, not their moving average.")
@click.option("--device", default="auto", show_default=True)
@plugin_option
@debug_option
def sample(run: str | None, count: int, seed: int, out: Path, raw: bool, device: str) -> None:
    """Draw new pictures with a checkpoint, or the last one of a run's folder.

    The latest run by default. Picture I of a seed is the same one whatever the count.
    """
    from gvt.runs.pictures import save_pictures
    from gvt.saved import sample as sample_checkpoint

    pictures = sample_checkpoint(run, count, seed, averaged=not raw, device=device)
    click.echo(save_pictures(pictures, out))


@click.command(short_help="Put a run on one page; compare several.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Where to write the page.")
@debug_option
def report(runs: tuple[str, ...], out: Path | None) -> None:
    """Put a run on one page for a browser, or compare several side by side.

    Of one run, the latest by default, it is the report.html in its folder; of several it is
    comparison.html here.
    """
    from gvt.runs.folder import RunFolder
    from gvt.runs.report import write_report

    folders = [RunFolder(Path(run)) for run in runs] or [RunFolder.latest(Path("runs"))]
    path = out or (folders[0].report if len(folders) == 1 else Path("comparison.html"))
    write_report(folders, path)
    click.echo(path)


@click.command("list", short_help="List what plugins offer.")
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@plugin_option
@debug_option
def list_components(kind: str | None) -> None:
    """List what plugins offer: recipes, tasks, networks, data sets."""
    from gvt.cli.listing import listing

    click.echo(listing(kind))


@click.command(short_help="Describe a recipe or a component.")
@click.argument("name")
@plugin_option
@debug_option
def show(name: str) -> None:
    """Describe a recipe or a component: parameters, plugin, size.

    Where several kinds share a NAME, all are shown; KIND:NAME is one of them.
    """
    from gvt.cli.describe import describe

    click.echo(describe(name))


@click.command(short_help="Print a recipe, to be changed.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def config(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe in YAML, to be changed and run: gvt config gan.mnist > mine.yaml"""
    from gvt.config.compose import recipe_text

    click.echo(recipe_text(recipe, overrides), nl=False)


@click.group(short_help="Look at a recipe's data, or check it.")
def data() -> None:
    """Look at a recipe's data, or check it."""


@data.command("show", short_help="Draw samples with their targets.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", default="train", show_default=True)
@click.option("-n", "--count", default=64, show_default=True, type=click.IntRange(1))
@click.option("-o", "--out", default="data.png", show_default=True, type=click.Path(path_type=Path))
@plugin_option
@debug_option
def show_data(recipe: str, overrides: tuple[str, ...], split: str, count: int, out: Path) -> None:
    """Draw samples of a recipe's data as a sheet, with their targets; training ones augmented."""
    from gvt.cli.data import save_sheet_of

    save_sheet_of(recipe, overrides, split, count, out)
    click.echo(out)


@data.command("check", short_help="Read everything once.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@plugin_option
@debug_option
def check_data(recipe: str, overrides: tuple[str, ...]) -> None:
    """Read a recipe's data once, all of it: what is unreadable, of which sizes and colour modes,
    there twice or in two splits, and how many there are of each class.
    """
    from gvt.cli.data import check

    click.echo(check(recipe, overrides))


@click.command(short_help="Tell what a checkpoint is.")
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
def inspect(file: Path) -> None:
    """Tell what a checkpoint is: recipe, step, metrics, plugins, tensors."""
    from gvt.cli.inspection import inspection

    click.echo(inspection(file))


@click.command(short_help="Show versions, devices, plugins, data.")
@plugin_option
@debug_option
def doctor() -> None:
    """Show versions, devices, plugins and data, to be pasted into a bug report."""
    from gvt.cli.diagnosis import diagnosis

    click.echo(diagnosis())


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
