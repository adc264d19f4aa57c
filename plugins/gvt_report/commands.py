"""`gvt sample` and `gvt report`. What they need is imported when they are called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit


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
    from gvt import sample as sample_checkpoint
    from gvt_report.sheets import check_target, save_pictures

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
