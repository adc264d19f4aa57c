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
    """Whether somebody asked the run to stop, with Ctrl-C or SIGTERM, or closed its terminal.

    Attributes:
        made: Whether it is to stop.
        hung_up: Whether its terminal was closed (SIGHUP).
    """

    def __init__(self, answer: bytes = _IN_A_STEP) -> None:
        self.made = self.hung_up = False
        self._asked = False
        self._answer = answer

    def steps_are_over(self) -> None:
        """From now on say to the first request what it means at a run's end."""
        self._answer = _AT_THE_END

    def _hang_up(self, number: int, frame: Any) -> None:
        # Never a second request: a closed session sends it twice, from the shell and the system.
        self.made = self.hung_up = True

    def _receive(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self.made = self._asked = True
        with suppress(OSError):  # standard error may be closed
            os.write(2, self._answer)  # print() may be what the signal interrupted


@contextmanager
def stop_requests(answer: bytes = _IN_A_STEP) -> Iterator[StopRequest]:
    """Take signals as requests, inside; a second Ctrl-C or SIGTERM raises KeyboardInterrupt.

    SIGHUP, which a closed terminal or ssh session sends, is a request as well, unless it is
    ignored, as under `nohup`. Only the main thread may take signals; elsewhere they keep their
    meaning.

    Args:
        answer: What is said to the first one.
    """
    request = StopRequest(answer)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers: dict[int, Any] = dict.fromkeys((signal.SIGINT, signal.SIGTERM), request._receive)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = request._hang_up
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield request
    finally:
        for number, handler in before.items():
            # None is a handler that was not set from Python; it cannot be set from here either.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
