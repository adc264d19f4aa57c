"""Streams for people, which may be lost: a run is worth more than the screen that it prints to."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

__all__ = ["Screen"]

_CLOSED = OSError(errno.EBADF, "it is closed")


class Screen:
    """A text stream that falls silent, instead of raising, once it cannot be written.

    A pipe whose reader has left, a full disk behind a redirection and a terminal that was closed
    are the same to whoever prints. Characters that the stream's encoding lacks are escaped.

    Args:
        stream: Where to write; None for a stream that is closed from the beginning.

    Attributes:
        problem: Why nothing is written any more; None while all is well.
        essential: Whether what is printed is what a command is for; its loss is then an error.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.problem: OSError | ValueError | None = None if stream is not None else _CLOSED
        self.essential = True
        self._stream: Any = stream

    @classmethod
    def of(cls, stream: TextIO | Screen | None) -> Screen:
        """Return a stream as a screen, one that is a screen as it is."""
        return stream if isinstance(stream, Screen) else cls(stream)

    @property
    def lost(self) -> str:
        """Why nothing is written any more; empty while all is well."""
        return str(getattr(self.problem, "strerror", None) or self.problem or "")

    @property
    def was_left(self) -> bool:
        """Whether the reader of a pipe has had enough, as `| head` has."""
        return isinstance(self.problem, BrokenPipeError)

    @property
    def is_missed(self) -> bool:
        """Whether somebody wanted what could not be written: not who left, or closed it before."""
        return bool(self.lost) and self.essential and not self.was_left and self._stream is not None

    def write(self, text: str) -> int:
        """Write text, or do nothing once the stream is lost; return the number of characters."""
        self._attempt(lambda: self._write(text))
        return str.__len__(text)

    def flush(self) -> None:
        """Flush the stream, unless it is lost."""
        if self.problem is None:
            self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        """Return whether it is a terminal that can still be written."""
        return self.problem is None and bool(self._stream.isatty())

    def give_up(self) -> None:
        """Let what is still buffered go nowhere, so that nobody fails at flushing it later."""
        if self.problem is None or self._stream is None:
            return
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding or "ascii"
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.problem is None:
            try:
                action()
            except (OSError, ValueError) as problem:  # ValueError: it was closed from within
                self.problem = problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def screens() -> Iterator[Screen]:
    """Let standard output and standard error be screens, inside; yield that of the output.

    A descriptor that is closed is opened on the null device first: what is opened later would get
    its number, and messages would be written into a checkpoint.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
    before: Any = sys.stdout, sys.stderr
    made = Screen.of(sys.stdout), Screen.of(sys.stderr)
    streams: Any = made  # they stand in for text streams
    sys.stdout, sys.stderr = streams
    try:
        yield made[0]
    finally:
        for screen in made:
            screen.flush()
            screen.give_up()
        sys.stdout, sys.stderr = before
