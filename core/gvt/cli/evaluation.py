"""`gvt eval`: figures of a checkpoint, or of a file of predictions."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli.options import Output, debug_option, plugin_option, shifted
from gvt.printable import emit
from gvt_registry import GvtError


@click.command("eval", short_help="Evaluate a checkpoint, or a file of predictions.")
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--split", help="What is evaluated; the recipe's final split by default.")
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="COCO results in JSON, scored in place of the checkpoint's.",
)
@click.option("--raw", is_flag=True, help="The weights as trained, not their moving average.")
@click.option("-o", "--out", type=Output(), help="A folder for the numbers and pictures.")
@plugin_option
@debug_option
def evaluate(
    run: str | None,
    overrides: tuple[str, ...],
    split: str | None,
    predictions: Path | None,
    raw: bool,
    out: Path | None,
) -> None:
    """Evaluate a checkpoint, or the last one of a run's folder; the latest run by default.

    The figures are those of the training, to the last digit. With tables, curves and the worst
    mistakes they also go into the run's folder, if they are of its last checkpoint and nothing is
    changed but device, data.root and evaluate.batch_size.

    With --predictions the boxes of a file are scored by the same code, such as another tool's or
    those of gvt predict. RUN may then also be a recipe, of which nothing need be trained.
    """
    from gvt.cli.listing import aligned

    run, overrides = shifted(run, overrides)
    if predictions is None:
        from gvt.session.judging import judge

        judged = judge(run, *overrides, split=split, averaged=not raw, out=out)
    else:
        from gvt.prediction.judging_results import judge_predictions

        if raw:
            raise click.UsageError("--raw: a file of predictions has no weights; leave it out.")
        judged = judge_predictions(predictions, run, *overrides, split=split, out=out)
    emit(aligned([(n, repr(v)) for n, v in judged.found.metrics.items()], indent=""))
    written = judged.save()
    if out is not None and out / f"{judged.split}.json" not in written:
        raise GvtError(f"{out}: the figures were printed, and could not be written there")
    if written:
        emit(f"written to {judged.target}", err=True)
    elif judged.target is None:
        emit(f"only printed, since {judged.apart}; -o FOLDER keeps it", err=True)
