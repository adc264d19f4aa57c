"""Stop requests by signals: finish the current step, save, and exit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_IN_A_STEP = b"\nfinishing this step, then saving; press again to abort without saving\n"
_AT_THE_END = b"\ntraining is done; writing pictures and report; press again to skip the rest\n"


class StopRequest:
    """A request to stop a run, by Ctrl-C, SIGTERM or closing its terminal.

    Attributes:
        made: Whether the run should stop.
        hung_up: Whether the terminal was closed (SIGHUP).
    """

    def __init__(self, answer: bytes = _IN_A_STEP) -> None:
        self.made = self.hung_up = False
        self._asked = False
        self._answer = answer

    def steps_are_over(self) -> None:
        """Answer a first request from now on with what it means at the end of a run."""
        self._answer = _AT_THE_END

    def _hang_up(self, number: int, frame: Any) -> None:
        # Not counted as a second request: the shell and the system both send SIGHUP.
        self.made = self.hung_up = True

    def _receive(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self.made = self._asked = True
        with suppress(OSError):  # standard error may be closed
            os.write(2, self._answer)  # print() is not reentrant, and may be interrupted


@contextmanager
def stop_requests(answer: bytes = _IN_A_STEP) -> Iterator[StopRequest]:
    """Turn signals into stop requests, inside the context.

    A second Ctrl-C or SIGTERM raises KeyboardInterrupt. SIGHUP, which a closed terminal or ssh
    session sends, is a request as well, unless it is ignored, as under `nohup`. Signals are only
    handled in the main thread; in other threads the context does nothing.

    Args:
        answer: Text written to standard error for the first request.
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
            # None is a handler that was not set from Python, and cannot be set from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
