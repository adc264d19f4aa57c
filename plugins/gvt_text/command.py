"""`gvt words`: which words of a text decided."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gvt.cli import Output, debug_option, plugin_option
from gvt.printable import emit, printable

if TYPE_CHECKING:
    from rich.text import Text

    from gvt import Opened

_IS_OVERRIDE = re.compile(r"device=\S+").fullmatch


@click.command(short_help="Show which words of a text decided its class.")
@click.argument("trained")
@click.argument("texts", nargs=-1, required=True, metavar="TEXTS_OR_FILES... [device=...]")
@click.option("-o", "--out", type=Output(".html"), help="HTML file for the coloured texts.")
@click.option("--raw", is_flag=True, help="Use the weights as trained, not their moving average.")
@plugin_option
@debug_option
def words(trained: str, texts: tuple[str, ...], out: Path | None, raw: bool) -> None:
    """Show which words of a text decided its class.

    TRAINED is a run folder or a checkpoint of a text classifier. A text is a sentence in quotation
    marks, a text file, or a folder of .txt files. Words for the predicted class are green, words
    against it red. Numbers are what a word adds to the log odds of the class: how much they fall if
    the word is replaced by an unknown one. Words before the last ones that the model reads are dim.
    """
    from gvt import open as open_trained
    from gvt.files import replacing
    from gvt_text.arguments import texts_of
    from gvt_text.line import page

    overrides = [text for text in texts if _IS_OVERRIDE(text)]
    pairs = texts_of([text for text in texts if text not in overrides])
    opened = open_trained(trained, *overrides, changeable=("device",), averaged=not raw)
    lines = [line for name, text in pairs for line in _explained(opened, name, text)]
    if out is not None:
        with replacing(out) as file:
            file.write(page(lines).encode())
        emit(f"written to {out}", err=True)


def _explained(opened: Opened, name: str, text: str) -> list[Text]:
    """Print the influence of the words of a text, and return the coloured lines."""
    from rich.text import Text as Line

    from gvt_text.influence import influences
    from gvt_text.line import coloured, listed, show
    from gvt_text.reader import TextReader

    lines = []
    reader = TextReader.from_document(opened.info.reader)
    by_head = influences(opened.task, opened.placement, reader, text)
    for head, influence in by_head.items():
        label = printable(opened.info.classes[influence.label])
        place = f"{printable(head)}: " if len(by_head) > 1 else ""
        title = f"{place}{label} {influence.score:.3f}"
        line = coloured(text, influence)
        emit(f"{printable(name)}  {title}")
        show(line, sys.stdout)
        emit(listed(text, influence))
        lines += [Line(f"{name}  {title}", style="bold"), line, Line(listed(text, influence))]
    return lines
