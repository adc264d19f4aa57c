"""Runs that are killed at random times and resumed, until they are complete.

After each kill the last checkpoint has to be complete. The completed run has to end with the bits
and the files of a run without kills.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from families import FAMILIES, forked, overrides, same_tensors

import gvt
from gvt.checkpoint import file as checkpoint_file


@dataclass
class Outcome:
    """Counts and losses of the runs of one family.

    Attributes:
        kills: Number of killed processes.
        unfinished: Number of kills that left an unfinished file.
        runs: Number of completed runs.
        lost: Losses, one line each.
    """

    kills: int = 0
    unfinished: int = 0
    runs: int = 0
    lost: list[str] = field(default_factory=list)


def campaign(recipe: str, kills: int, seed: int) -> Outcome:
    """Kill runs of a family until a number of kills is reached."""
    moments, outcome = random.Random(f"{seed} {recipe}"), Outcome()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        started = time.monotonic()
        undisturbed = _undisturbed(recipe, root)
        seconds = time.monotonic() - started
        files = _files(undisturbed)
        _, expected = checkpoint_file.load(undisturbed / "checkpoints" / "last.safetensors")
        while outcome.kills < kills:
            times = [seconds * moments.random() ** 2 for _ in range(kills - outcome.kills)]
            run = _killed_run(recipe, root / f"killed{outcome.runs}", times, outcome)
            if run is None:
                break
            _, tensors = checkpoint_file.load(run / "checkpoints" / "last.safetensors")
            if not same_tensors(tensors, expected):
                outcome.lost.append(f"{recipe}: ended with other bits than the undisturbed run")
            if more := _files(run) - files:
                outcome.lost.append(f"{recipe}: left {', '.join(sorted(more))}")
    return outcome


def _undisturbed(recipe: str, root: Path) -> Path:
    log = root / "undisturbed.log"
    child = forked(lambda: _start(recipe, root / "undisturbed"), log)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{recipe}: the undisturbed run failed:\n{log.read_text()}")
    (run,) = (root / "undisturbed").glob("*/*")
    return run


def _start(recipe: str, root: Path) -> None:
    gvt.run(recipe, *overrides(recipe, root), quiet=True)


def _killed_run(recipe: str, root: Path, moments: list[float], outcome: Outcome) -> Path | None:
    """Return the folder of a run that is killed after each of several times; None if it fails.

    A resumed run may have a single step left, so short times have to be frequent.
    """
    log = root.with_suffix(".log")
    for _ in range(len(moments) + 1):
        folders = [path.parent for path in root.glob("*/*/config.yaml")]
        if folders:
            child = forked(lambda run=folders[0]: gvt.resume(run, quiet=True), log)
        else:
            child = forked(lambda: _start(recipe, root), log)
        status = _killed_after(child, moments.pop() if moments else math.inf)
        if status is None:
            outcome.kills += 1
            outcome.unfinished += _check_after_kill(recipe, root, outcome)
        elif status:
            outcome.lost.append(f"{recipe}: {log.read_text().splitlines()[-1]}")
            return None
        else:
            outcome.runs += 1
            return folders[0] if folders else next(root.glob("*/*"))
    raise AssertionError("the last attempt is not killed")


def _killed_after(child: int, seconds: float) -> int | None:
    """Kill a child after a time; return its status if it ended before."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(left, 0.002))
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # its process group does not exist yet
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _check_after_kill(recipe: str, root: Path, outcome: Outcome) -> int:
    """Check that each checkpoint is complete; return whether there is an unfinished file."""
    for path in root.glob("*/*/checkpoints/[!.]*.safetensors"):
        try:
            checkpoint_file.load(path)
        except gvt.GvtError as error:
            outcome.lost.append(f"{recipe}: {error}")
    return any(path.name.startswith(".unfinished") for path in root.rglob("*"))


def _files(run: Path) -> set[str]:
    """Return the names of the files of a run."""
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def row(recipe: str, kills: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """Return the counts and losses of a family's campaign."""
    outcome = campaign(recipe, kills, seed)
    unfinished = outcome.unfinished
    counts = {"kills": outcome.kills, "unfinished files": unfinished, "complete": outcome.runs}
    return counts, outcome.lost


ROWS = tuple(FAMILIES)
