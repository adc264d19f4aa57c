"""`gvt merge`. It imports what it needs when it is called."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit


@click.command(short_help="Merge heads of several checkpoints.")
@click.argument("checkpoints", nargs=-1, required=True, metavar="[NAME=]CHECKPOINT...")
@click.option(
    "-o", "--out", type=Output(".safetensors"), required=True, help="Path of the checkpoint."
)
@click.option("--raw", is_flag=True, help="Use the weights as trained, not their moving averages.")
@plugin_option
@debug_option
def merge(checkpoints: tuple[str, ...], out: Path, raw: bool) -> None:
    """Merge the heads of several checkpoints on the backbone that they share.

    A CHECKPOINT is a file or a run folder. Its heads were trained on a frozen backbone:
    gvt run RECIPE init_from=COMMON "train.unfreeze={backbone: never}". Each head then predicts
    bitwise what it predicted alone, and one pass of the backbone serves all heads.

    NAME=CHECKPOINT gives the head another name; several heads get NAME_ as prefix.
    """
    from gvt_multi.merge import merge as merge_checkpoints

    task = merge_checkpoints(checkpoints, out, averaged=not raw)
    emit(f"{out}: {', '.join(task.heads)}")
