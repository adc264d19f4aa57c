"""The command `gvt import`: convert published weights to a safetensors file with timm's names."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option
from gvt.printable import emit


@click.command("import", short_help="Convert published weights (.pth) to a safetensors file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model", required=True, metavar="NAME", help="Name of the model in timm, such as resnet18."
)
@click.option(
    "-o", "--out", type=Output(".safetensors"), required=True, help="The safetensors file to write."
)
@debug_option
def import_command(file: Path, model: str, out: Path) -> None:
    """Convert the weights in FILE to a safetensors file, for the parameter `weights` of a backbone.

    Tensors are matched by name, or by position if the names differ but all shapes agree in order.
    Other files are refused. FILE is opened without running code that it may contain.

    \b
    gvt import lite0.pth --model tf_efficientnet_lite0 -o lite0.safetensors
    gvt run classify.finetune backbone.weights=lite0.safetensors data.root=photos
    """
    from .conversion import convert

    result = convert(file, model, out)
    emit(f"{out}: {result.count} tensors of {model}, by {result.how}")
    if names := result.left_over:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        emit(f"left out, since {model} has none: {', '.join(names[:3])}{more}")
