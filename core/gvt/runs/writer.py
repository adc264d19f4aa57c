"""Lock a run folder, so that only one process writes to it."""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from gvt.errors import RunInUseError
from gvt.files import replacing

LOCK, NOTE = ".lock", ".writer.json"
"""Files in a run folder: the lock, which is not removed, and the process that holds it."""

ORPHANS_SECONDS = 15.0
"""How long the workers of a killed process may hold its lock: they check for it every 5 s."""


@dataclass(frozen=True)
class Writer:
    """A process that writes to a run folder.

    Attributes:
        process: Process ID.
        host: Name of the machine.
        doing: What it does with the run: `trained`, `evaluated` or `reported`.
    """

    process: int
    host: str
    doing: str

    @property
    def was_killed(self) -> bool:
        """Whether the process is known to have ended; only its own machine knows."""
        if self.host == socket.gethostname() and os.name == "posix":
            try:
                os.kill(self.process, 0)  # sends nothing
            except OSError as error:
                return isinstance(error, ProcessLookupError)  # else it is another user's
        return False


@contextmanager
def sole_writer(folder: Path, doing: str) -> Iterator[None]:
    """Lock a run folder inside the context, so that other processes do not write to it.

    The system releases the lock when the process ends, also if it is killed. The thread that holds
    it can acquire it again. A file system without locks gives a warning, and no lock.

    Args:
        folder: The run folder.
        doing: What is done with the run: `trained`, `evaluated` or `reported`.

    Raises:
        RunInUseError: If another process writes to it. The message names the process.
    """
    # One object for each path, so that its holder can acquire it again.
    lock = FileLock(folder / LOCK, is_singleton=True)
    try:
        _acquire(lock, folder)
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"{folder}: cannot be locked: {reason}; take care that no second process writes there",
            stacklevel=3,
        )
        yield
        return
    try:
        if lock.lock_counter == 1:
            _note(folder, doing)
        yield
    finally:
        if lock.lock_counter == 1:
            with suppress(OSError):
                (folder / NOTE).unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> None:
    """Acquire a lock at once, or when the workers of a killed process have ended.

    Raises:
        RunInUseError: If another process holds it.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        writer = _noted(folder)
        if writer is not None and writer.was_killed:
            with suppress(Timeout):
                lock.acquire(timeout=ORPHANS_SECONDS)
                return
        use = "used by another process"
        if writer is not None:
            use = f"being {writer.doing} by process {writer.process} on {writer.host}"
        raise RunInUseError(f"run {folder} is {use}; try again when that has ended") from None


def _note(folder: Path, doing: str) -> None:
    """Write which process holds the lock; it is only used for messages."""
    with suppress(OSError), replacing(folder / NOTE) as file:
        writer = Writer(os.getpid(), socket.gethostname(), doing)
        file.write((json.dumps(asdict(writer)) + "\n").encode())


def _noted(folder: Path) -> Writer | None:
    try:
        values = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return Writer(int(values["process"]), str(values["host"]), str(values["doing"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
