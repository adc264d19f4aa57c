"""Texts in messages: any character may occur in a name, and a terminal would obey some of them.

Everything that the command line prints goes through `emit`, or through `shown` where rich prints.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

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

    What reads the output may have gone, as `head` does; then there is nobody to print for. A
    closed or full standard error is no error either, since nothing could tell of it.

    Raises:
        OSError: If standard output cannot be written, such as on a full disk.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = shown(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(line, end=end, file=stream, flush=True)
    except OSError as error:
        give_up(stream)
        if not err and not isinstance(error, BrokenPipeError):
            raise OSError(error.errno, error.strerror, "standard output") from error


def give_up(stream: TextIO) -> None:
    """Let a stream that cannot be written lead nowhere, or Python fails once more at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def open_closed_streams() -> None:
    """Put the null device in the place of standard streams that are closed.

    Otherwise the next file that is opened, such as a checkpoint, would be standard error for all
    libraries.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
