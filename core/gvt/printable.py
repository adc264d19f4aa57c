"""File names in messages: any byte may stand in one, and a terminal would obey some of them."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return a text, such as a path, on one line, with what does not print written as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
