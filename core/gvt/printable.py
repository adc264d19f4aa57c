"""Texts in messages: any character may occur in a name, and a terminal would obey some of them.

Everything that the command line prints goes through `emit`, or through `shown` where rich prints.
"""

from __future__ import annotations

import re
import sys

__all__ = ["emit", "printable"]

MOST = 200
"""Characters of one value in a message."""

# Controls but for tabs and line ends, marks of writing direction, other line ends, lone surrogates.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)


def printable(text: object) -> str:
    """Return a text, such as a path, on one line, with what does not print written as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def shown(text: object) -> str:
    """Return a text for a terminal: what it would obey is written as escapes, lines stay lines."""
    return _OBEYED.sub(lambda match: ascii(match[0])[1:-1], str(text))


def on_one_line(text: object) -> str:
    """Return a text for a terminal, its line ends written as escapes, too."""
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def shortened(text: str) -> str:
    """Return a text, cut to 200 characters."""
    return text if len(text) <= MOST else f"{text[:MOST]}... ({len(text):,} characters)"


def quoted(value: object) -> str:
    """Return a value as Python writes it, cut to 200 characters, for a message."""
    return shortened(repr(value))


def emit(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print a text on standard output, or standard error: the one place that does.

    Both are screens (`gvt.screen`) on the command line, where a stream that cannot be written is no
    error of whoever prints.
    """
    print(shown(text), end=end, file=sys.stderr if err else sys.stdout, flush=True)
