"""Output streams that may fail without failing the run that prints to them."""

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
    """A text stream that discards its output, instead of raising, once it cannot be written.

    Reasons are a pipe without a reader, a redirection to a full disk, or a closed terminal.
    Characters that the encoding of the stream lacks are escaped.

    Args:
        stream: Stream to write to; None for one that was closed from the beginning.

    Attributes:
        problem: Error of the stream; None if it can be written.
        essential: Whether lost output is an error of the command.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.problem: OSError | ValueError | None = None if stream is not None else _CLOSED
        self.essential = True
        self._stream: Any = stream

    @classmethod
    def of(cls, stream: TextIO | Screen | None) -> Screen:
        """Return a screen for a stream, which is the stream itself if it is a screen."""
        return stream if isinstance(stream, Screen) else cls(stream)

    @property
    def lost(self) -> str:
        """Reason why the stream cannot be written; empty if it can."""
        return str(getattr(self.problem, "strerror", None) or self.problem or "")

    @property
    def was_left(self) -> bool:
        """Whether the reader of a pipe has closed it, as `| head` does."""
        return isinstance(self.problem, BrokenPipeError)

    @property
    def is_missed(self) -> bool:
        """Whether essential output was lost, and the reader did not close the stream."""
        return bool(self.lost) and self.essential and not self.was_left and self._stream is not None

    def write(self, text: str) -> int:
        """Write text unless the stream is lost; return the number of characters."""
        self._attempt(lambda: self._write(text))
        return str.__len__(text)

    def flush(self) -> None:
        """Flush the stream, unless it is lost."""
        if self.problem is None:
            self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        """Return whether it is a terminal that can be written."""
        return self.problem is None and bool(self._stream.isatty())

    def give_up(self) -> None:
        """Redirect a lost stream to the null device, so that flushing its buffer later succeeds."""
        if self.problem is None or self._stream is None:
            return
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

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
            except (OSError, ValueError) as problem:  # ValueError: this process has closed it
                self.problem = problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def screens() -> Iterator[Screen]:
    """Replace standard output and standard error by screens; yield that of standard output.

    Closed descriptors are opened on the null device first. A file that is opened later would
    otherwise get their number, and messages would be written into a checkpoint.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
    streams: Any = sys.stdout, sys.stderr
    replacements: Any = tuple(map(Screen.of, streams))
    sys.stdout, sys.stderr = replacements
    try:
        yield replacements[0]
    finally:
        for screen in replacements:
            screen.flush()
            screen.give_up()
        sys.stdout, sys.stderr = streams
