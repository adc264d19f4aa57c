"""The commands of gvt itself. Each imports what it needs when it is called."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli.options import Output, common_options, debug_option, shifted
from gvt.printable import emit
from gvt.screen import Screen
from gvt_registry import KINDS, GvtError

if TYPE_CHECKING:
    from gvt.loop.listener import Run
    from gvt.session.judging import Judged


def _report(run: Run) -> None:
    """Print the path of each kind of file that a run has written.

    Output that cannot be printed is not an error here.
    """
    from gvt.runs.folder import RunFolder

    Screen.of(sys.stdout).essential = False
    if run.folder is None:  # only the first of several processes has one
        return
    folder = RunFolder(run.folder)
    paths = {
        "samples": max(folder.samples.glob("[!.]*"), default=None),
        "progress": folder.progress,
        "losses": folder.losses_plot,
        "report": folder.report,
        "metrics": folder.metrics,
        "checkpoint": run.checkpoint,
    }
    emit("\n".join(f"{n:<11}{p}" for n, p in paths.items() if p is not None and p.exists()))


@click.command(short_help="Train a recipe.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@common_options
def run(recipe: str, overrides: tuple[str, ...]) -> None:
    """Train a recipe: a name from `gvt list`, or a YAML file.

    KEY=VALUE changes a setting, such as train.steps=500, data.classes=[5] or device=cpu.
    """
    from gvt.session.api import run as run_recipe

    _report(run_recipe(recipe, *overrides))


@click.command(short_help="Resume a run.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@common_options
def resume(run: str | None, overrides: tuple[str, ...]) -> None:
    """Resume a run, given by its folder or a checkpoint in it; the latest run by default.

    train.steps=N extends the run.
    """
    from gvt.session.api import resume as resume_run

    run, overrides = shifted(run, overrides)
    _report(resume_run(run, *overrides))


@click.command("eval", short_help="Evaluate a checkpoint.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", help="Split to evaluate; the recipe's final split by default.")
@click.option("--raw", is_flag=True, help="Use the weights as trained, not their moving average.")
@click.option("-o", "--out", type=Output(), help="Folder to write the metrics and plots to.")
@common_options
def evaluate(
    run: str | None, overrides: tuple[str, ...], split: str | None, raw: bool, out: Path | None
) -> None:
    """Evaluate a checkpoint, or the last one of a run folder; the latest run by default.

    The metrics equal those of the training, to the last digit. They are also written into the run
    folder, with tables, plots and the worst mistakes, if the last checkpoint is evaluated and no
    setting differs but device, data.root and evaluate.batch_size.
    """
    from gvt.session.judging import judge

    run, overrides = shifted(run, overrides)
    show_evaluation(judge(run, *overrides, split=split, averaged=not raw, out=out))


def show_evaluation(judged: Judged) -> None:
    """Print the metrics of an evaluation, write them into its folder, and print its path.

    Raises:
        GvtError: If they cannot be written into the folder given by `--out`.
    """
    from gvt.cli.listing import aligned

    emit(aligned([(n, repr(v)) for n, v in judged.evaluation.metrics.items()], indent=""))
    paths = judged.save()
    if judged.out is not None and judged.out / f"{judged.split}.json" not in paths:
        raise GvtError(f"{judged.out}: the metrics were printed, but could not be written there")
    if paths:
        emit(f"written to {judged.target}", err=True)
    elif judged.target is None:
        emit(f"only printed, since {judged.apart}; -o FOLDER saves it", err=True)


@click.command("list", short_help="List recipes and components.")
@click.argument("kind", required=False, type=click.Choice(KINDS), metavar="[KIND]")
@common_options
def list_components(kind: str | None) -> None:
    """List recipes, tasks, networks, data sets and all other components."""
    from gvt.cli.listing import listing

    emit(listing(kind))


@click.command(short_help="Describe a recipe or a component.")
@click.argument("name")
@common_options
def show(name: str) -> None:
    """Describe a recipe or a component: its parameters, plugin and size.

    If components of several kinds are called NAME, all are shown; KIND:NAME selects one.
    """
    from gvt.cli.describe import describe

    emit(describe(name))


@click.command(short_help="Print the recipe of a name or a run as YAML.")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@common_options
def config(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe, or that of a run or a checkpoint, as YAML, to be edited and run.

    gvt config gan.mnist > mine.yaml
    """
    from gvt.config import compose, dump_yaml, recipe_text

    run = Path(recipe)
    if run.suffix != ".safetensors" and not (run / "config.yaml").is_file():
        emit(recipe_text(recipe, overrides), end="")
    else:
        from gvt.session.opened import Opened  # imports torch

        document = compose(Opened.of_checkpoint(recipe).config, overrides).document()
        emit(dump_yaml(document), end="")


@click.command(short_help="Describe a checkpoint.")
@click.argument("file", type=click.Path(path_type=Path))
@debug_option
def inspect(file: Path) -> None:
    """Describe a checkpoint: recipe, step, metrics, plugins and tensors."""
    from gvt.cli.inspection import inspection

    emit(inspection(file))


@click.command(short_help="Show versions, devices, plugins, data.")
@common_options
def doctor() -> None:
    """Show versions, devices, plugins and data, for a bug report."""
    from gvt.cli.diagnosis import diagnosis

    emit(diagnosis())


COMMANDS = (run, resume, evaluate, list_components, show, config, inspect, doctor)
