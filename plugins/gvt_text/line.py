"""A text as a line whose colours show which words decided, on a terminal or as HTML."""

from __future__ import annotations

import math
from io import StringIO
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from gvt.printable import printable

from .influence import Influence

_FAINT = 0.1
"""Words with less than this share of the largest influence have no colour."""

_NAMED = 4
"""Words for, and against, that are listed with their numbers."""

FOR, AGAINST = (0, 150, 60), (210, 30, 30)
"""Colours of words for and against the class, as red, green and blue."""


def coloured(text: str, influence: Influence) -> Text:
    """Return a text with the words for its class in green and those against it in red.

    The stronger the colour, the larger the influence. Words that the model does not read are dim.
    """
    # One character each, so that the places of the words stay.
    line = Text("".join(c if c.isprintable() else " " for c in text))
    most = float(influence.gains.nan_to_num().abs().max()) if len(influence.gains) else 0.0
    for (start, end), gain in zip(influence.places, influence.gains.tolist(), strict=True):
        if math.isnan(gain):
            line.stylize("dim", start, end)
        elif most and abs(gain) >= _FAINT * most:
            share = abs(gain) / most
            colour = FOR if gain > 0 else AGAINST
            red, green, blue = (round(255 - (255 - c) * share) for c in colour)
            line.stylize(f"black on rgb({red},{green},{blue})", start, end)
    return line


def listed(text: str, influence: Influence) -> str:
    """Return the words with the largest influence as a line: `for it: fine +1.20; against: ...`."""
    gains = influence.gains.nan_to_num()
    order = gains.argsort(descending=True, stable=True).tolist()
    parts = {
        "for it": [n for n in order[:_NAMED] if gains[n] > 0],
        "against it": [n for n in reversed(order[-_NAMED:]) if gains[n] < 0],
    }
    return "; ".join(
        f"{side}: {', '.join(_word(text, influence, n) for n in numbers) or 'no word'}"
        for side, numbers in parts.items()
    )


def page(lines: list[Text]) -> str:
    """Return lines as an HTML page."""
    console = Console(record=True, file=StringIO(), width=100, color_system="truecolor")
    for line in lines:
        console.print(line)
    return console.export_html(inline_styles=True)


def show(line: Text, stream: TextIO | Any) -> None:
    """Print a line, in colour if the stream is a terminal."""
    Console(file=stream, soft_wrap=True, highlight=False).print(line)


def _word(text: str, influence: Influence, number: int) -> str:
    start, end = influence.places[number]
    return f"{printable(text[start:end])} {influence.gains[number]:+.2f}"
