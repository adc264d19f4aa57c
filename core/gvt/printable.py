"""Texts in messages: any character may occur in a name, and a terminal would obey some of them."""

from __future__ import annotations

MOST = 200
"""Characters of one value in a message."""


def printable(text: object) -> str:
    """Return a text, such as a path, on one line, with what does not print written as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def shortened(text: str) -> str:
    """Return a text, cut to 200 characters."""
    return text if len(text) <= MOST else f"{text[:MOST]}... ({len(text):,} characters)"


def quoted(value: object) -> str:
    """Return a value as Python writes it, cut to 200 characters, for a message."""
    return shortened(repr(value))
