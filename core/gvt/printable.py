"""Escape characters of messages that could control a terminal; names may contain any character.

All output of the command line is printed by `emit`, or escaped by `shown` if rich prints it.
"""

from __future__ import annotations

import re
import sys

__all__ = ["emit", "printable"]

MOST = 200
"""Characters of a value in a message."""

# Controls except tabs and line feeds, marks of writing direction, other line ends, surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)


def printable(text: object) -> str:
    """Return a text, such as a path, on one line, with unprintable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def shown(text: object) -> str:
    """Return a text for a terminal, with control characters escaped, except for line feeds."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], str(text))


def on_one_line(text: object) -> str:
    """Return a text for a terminal on one line, with tabs and line feeds escaped, too."""
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str) -> str:
    """Return a text, cut to 200 characters."""
    return text if len(text) <= MOST else f"{text[:MOST]}... ({len(text):,} characters)"


def quoted(value: object) -> str:
    """Return the repr of a value for a message, cut to 200 characters."""
    return shortened(repr(value))


def emit(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print a text on standard output, or on standard error.

    On the command line both are a `Screen`, so this does not raise if the stream cannot be written.
    """
    print(shown(text), end=end, file=sys.stderr if err else sys.stdout, flush=True)
