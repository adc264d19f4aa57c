"""`gvt eval`: figures of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli.options import Output, debug_option, plugin_option, shifted
from gvt.printable import emit
from gvt_registry import GvtError

if TYPE_CHECKING:
    from gvt.session.judging import Judged


@click.command("eval", short_help="Evaluate a checkpoint.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", help="What is evaluated; the recipe's final split by default.")
@click.option("--raw", is_flag=True, help="The weights as trained, not their moving average.")
@click.option("-o", "--out", type=Output(), help="A folder for the numbers and pictures.")
@plugin_option
@debug_option
def evaluate(
    run: str | None,
    overrides: tuple[str, ...],
    split: str | None,
    raw: bool,
    out: Path | None,
) -> None:
    """Evaluate a checkpoint, or the last one of a run's folder; the latest run by default.

    The figures are those of the training, to the last digit. With tables, curves and the worst
    mistakes they also go into the run's folder, if they are of its last checkpoint and nothing is
    changed but device, data.root and evaluate.batch_size.
    """
    from gvt.session.judging import judge

    run, overrides = shifted(run, overrides)
    show(judge(run, *overrides, split=split, averaged=not raw, out=out))


def show(judged: Judged) -> None:
    """Print the figures of an evaluation, write them into its folder, and say where they are.

    Raises:
        GvtError: If they cannot be written into the folder that was asked for.
    """
    from gvt.cli.listing import aligned

    emit(aligned([(n, repr(v)) for n, v in judged.found.metrics.items()], indent=""))
    written = judged.save()
    if judged.out is not None and judged.out / f"{judged.split}.json" not in written:
        raise GvtError(f"{judged.out}: the figures were printed, and could not be written there")
    if written:
        emit(f"written to {judged.target}", err=True)
    elif judged.target is None:
        emit(f"only printed, since {judged.apart}; -o FOLDER keeps it", err=True)
