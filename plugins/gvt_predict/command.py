"""`gvt predict`, and `gvt eval --predictions`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from gvt.cli import Extension, Output, debug_option, plugin_option, shifted
from gvt.printable import emit
from gvt.screen import Screen

_ANSWER = b"\nfinishing this image; press again to stop at once\n"
_IS_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=").match


@click.command(short_help="Run a trained model on your own images, or texts.")
@click.argument("trained")
@click.argument("words", nargs=-1, required=True, metavar="FILES_OR_FOLDERS... [KEY=VALUE]...")
@click.option(
    "-o",
    "--out",
    type=Output(),
    help="Folder for the predictions; by default masks and objects are written to predictions/.",
)
@click.option("--raw", is_flag=True, help="Use the weights as trained, not their moving average.")
@plugin_option
@debug_option
def predict(trained: str, words: tuple[str, ...], out: Path | None, raw: bool) -> None:
    """Run a trained model on your own images, of any size.

    TRAINED is a run folder, a checkpoint, or a recipe with pretrained weights. Classes are printed
    with their probabilities. If pixels are classified, the output folder gets STEM.png, a mask of
    class indices, and STEM_overlay.png. If objects are detected, it gets STEM_overlay.png with the
    objects of at least predict.score, and predictions.json with all objects as COCO results. It
    always gets predictions.jsonl, one line for each image.

    If the model reads texts, FILES are sentences in quotation marks, text files, or folders.

    KEY=VALUE changes predict.tile, predict.overlap, predict.flips, predict.score,
    predict.batch_size or device; for a recipe, any setting.
    """
    from gvt import DataError, Interrupted
    from gvt.loop import stop_requests
    from gvt_predict.predict import open_job
    from gvt_predict.result import text_of

    overrides = [w for w in words if _IS_OVERRIDE(w) and not Path(w).exists()]
    files = [w for w in words if w not in overrides]
    job = open_job(trained, files, overrides, out, averaged=not raw, writes_places=True)
    total, done, broken = len(job.sources), 0, 0
    with stop_requests(_ANSWER) as request:
        for predicted in job:
            done += 1
            if predicted.error:
                broken += 1
                emit(predicted.error, err=True)
            else:
                emit(text_of(predicted))
            if job.out is None and Screen.of(sys.stdout).was_left:
                return  # the reader closed the pipe, as in `| head`
            if request.made and done < total:
                raise Interrupted(f"stopped after {done} of {total} {job.noun}")
    if job.out is not None and broken < total:
        emit(f"written to {job.out}", err=True)
    if broken:
        raise DataError(f"{broken} of {total} images could not be predicted")


@click.command("eval", cls=Extension)
@click.argument("run", required=False)
@click.argument("overrides", nargs=-1)
@click.option("--split")
@click.option(
    "--predictions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="COCO results in JSON, evaluated instead of the checkpoint's predictions.",
)
@click.option("--raw", is_flag=True)
@click.option("-o", "--out")
def score(
    run: str | None,
    overrides: tuple[str, ...],
    split: str | None,
    predictions: Path,
    raw: bool,
    out: Path | None,
) -> None:
    """With --predictions, boxes from a file are evaluated by the same code: those of gvt predict,
    or of another tool. RUN may then also be a recipe, which needs no training.
    """
    from gvt.cli import show_evaluation
    from gvt_predict.judging_results import judge_predictions

    if raw:
        raise click.UsageError("--raw: a file of predictions has no weights; leave it out.")
    run, overrides = shifted(run, overrides)
    show_evaluation(judge_predictions(predictions, run, *overrides, split=split, out=out))
