"""`gvt import`: weights from elsewhere, as a safetensors file in timm's names."""

from __future__ import annotations

from pathlib import Path

import click

from gvt.cli import Output, debug_option
from gvt.printable import emit


@click.command("import", short_help="Turn a .pth of a known network into a safetensors file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model", required=True, metavar="NAME", help="What timm calls the network, as resnet18."
)
@click.option(
    "-o", "--out", type=Output(".safetensors"), required=True, help="The file to be written."
)
@debug_option
def import_command(file: Path, model: str, out: Path) -> None:
    """Turn the weights in FILE into a safetensors file, which a backbone takes as `weights`.

    Tensors are matched by name, or by position where the names are others but every shape agrees
    in order; anything else is refused. FILE is opened without running code that may be in it.

    \b
    gvt import lite0.pth --model tf_efficientnet_lite0 -o lite0.safetensors
    gvt run classify.finetune backbone.weights=lite0.safetensors data.root=photos
    """
    from .conversion import convert

    taken = convert(file, model, out)
    emit(f"{out}: {taken.count} tensors of {model}, by {taken.how}")
    if taken.left_over:
        more = f" and {len(taken.left_over) - 3} more" if len(taken.left_over) > 3 else ""
        emit(f"left out, since {model} has none: {', '.join(taken.left_over[:3])}{more}")
