"""`gvt sample` and `gvt report`. Each imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit


@click.command(short_help="Generate samples, such as images.")
@click.argument("run", required=False)
@click.option(
    "-n",
    "--count",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Number of samples.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the latents.")
@click.option(
    "-o",
    "--out",
    type=Output(either=True),
    help="One file for all samples, or a folder for one of each; samples.png for images, and the "
    "suffix of their field for others, by default.",
)
@click.option(
    "--raw", is_flag=True, help="Use the weights as trained instead of their moving average."
)
@click.option("--device", default="auto", show_default=True, help="Device to compute on.")
@plugin_option
@debug_option
def sample(
    run: str | None, count: int, seed: int, out: Path | None, raw: bool, device: str
) -> None:
    """Generate samples with a checkpoint, or with the last one of a run folder.

    The default is the latest run. Sample I of a seed does not depend on the count.
    """
    from gvt import Shown
    from gvt_report.sampling import sample as sample_checkpoint
    from gvt_report.sheets import save_sampled

    def generate(number: int) -> Shown:
        samples = sample_checkpoint(run, number, seed, averaged=not raw, device=device)
        return Shown.of(samples)

    for path in save_sampled(generate, count, out):
        emit(path)


@click.command(short_help="Write the report of a run, or compare several.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("-o", "--out", type=Output(".html"), help="Path of the HTML file.")
@debug_option
def report(runs: tuple[str, ...], out: Path | None) -> None:
    """Write one HTML page about a run, or compare several side by side.

    A RUN is a run folder, or a checkpoint in one; the default is the latest run. The page of one
    run is report.html in its folder, that of several is comparison.html in the current folder. Use
    -o FILE for a run that is still training.
    """
    from contextlib import nullcontext

    from gvt.runs import sole_writer
    from gvt.session import find_run
    from gvt_report.report import write_report
    from gvt_report.summary import summarise

    folders = [find_run(run) for run in runs or (None,)]
    path = out or (folders[0].report if len(folders) == 1 else Path("comparison.html"))
    is_own = path == folders[0].report and folders[0].config.is_file()
    with sole_writer(folders[0].path, "reported") if is_own else nullcontext():
        write_report([summarise(folder) for folder in folders], path)
    emit(path)
