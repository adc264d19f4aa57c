"""`gvt eval`: the metrics of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli.options import Output, common_options, shifted
from gvt.printable import emit
from gvt_registry import GvtError

if TYPE_CHECKING:
    from gvt.session.judging import Judged


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
