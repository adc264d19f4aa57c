"""Asking a run to stop without losing it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_IN_A_STEP = b"\nfinishing this step, then saving; once more aborts without saving\n"
_AT_THE_END = b"\nthe steps are over; writing pictures and report; once more leaves out the rest\n"


class StopRequest:
    """Whether somebody asked the run to stop, with Ctrl-C or SIGTERM."""

    def __init__(self, answer: bytes = _IN_A_STEP) -> None:
        self.made = False
        self._answer = answer

    def steps_are_over(self) -> None:
        """From now on say to the first request what it means at a run's end."""
        self._answer = _AT_THE_END

    def _receive(self, number: int, frame: Any) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
        with suppress(OSError):  # standard error may be closed
            os.write(2, self._answer)  # print() may be what the signal interrupted


@contextmanager
def stop_requests(answer: bytes = _IN_A_STEP) -> Iterator[StopRequest]:
    """Take signals as requests, inside; the second one raises KeyboardInterrupt at once.

    Only the main thread may do so; elsewhere signals keep their meaning.

    Args:
        answer: What is said to the first one.
    """
    request = StopRequest(answer)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {n: signal.signal(n, request._receive) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            # None is a handler that was not set from Python; it cannot be set from here either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
