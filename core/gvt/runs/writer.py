"""One writer a run: who writes into a run's folder locks it."""

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
"""Files in a run's folder: the lock, which stays there, and who holds it."""

ORPHANS_SECONDS = 15.0
"""How long the workers of a killed process may hold its lock: they look for it every 5 s."""


@dataclass(frozen=True)
class Writer:
    """Who writes into a run's folder.

    Attributes:
        process: The process's number.
        host: The machine's name.
        doing: What it does to the run: `trained`, `evaluated` or `reported`.
    """

    process: int
    host: str
    doing: str

    @property
    def was_killed(self) -> bool:
        """Whether it is known to be over, which only its own machine can tell."""
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.process, 0)  # sends nothing
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


@contextmanager
def sole_writer(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes from writing into a run's folder, inside.

    The system lifts the lock when the process ends, however it does. Within one thread it can be
    taken again. A file system without locks is warned of, and goes without.

    Args:
        folder: The run's folder.
        doing: What is done to the run: `trained`, `evaluated` or `reported`.

    Raises:
        RunInUseError: If another process writes there; names it.
    """
    # One object for each path, so that whoever holds it already may take it again.
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
    """Take a lock at once, or as soon as what a killed process left has ended.

    Raises:
        RunInUseError: If somebody has it.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        writer = _noted(folder)
        if writer is not None and writer.was_killed:
            with suppress(Timeout):
                lock.acquire(timeout=ORPHANS_SECONDS)
                return
        who = "used by another process"
        if writer is not None:
            who = f"being {writer.doing} by process {writer.process} on {writer.host}"
        raise RunInUseError(f"run {folder} is {who}; try again when that has ended") from None


def _note(folder: Path, doing: str) -> None:
    """Write down who has the lock; where that cannot be written, messages are poorer."""
    with suppress(OSError), replacing(folder / NOTE) as file:
        writer = Writer(os.getpid(), socket.gethostname(), doing)
        file.write((json.dumps(asdict(writer)) + "\n").encode())


def _noted(folder: Path) -> Writer | None:
    try:
        values = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return Writer(int(values["process"]), str(values["host"]), str(values["doing"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
