"""Advice on how to continue a run whose losses or weights are not finite."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from gvt.checkpoint.document import read_header
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import TrainConfig
from gvt.errors import NonFiniteError
from gvt.loop.listener import Run


@contextmanager
def advising(
    run: Run, checkpoints: CheckpointFolder | None, train: TrainConfig, precision: str
) -> Iterator[None]:
    """Add the advice of `advise` to the message of a NonFiniteError raised inside the context.

    Args:
        run: The run.
        checkpoints: The checkpoints of the run; None for no advice.
        train: Settings of the loop.
        precision: The precision of autocast.

    Raises:
        NonFiniteError: The error raised inside, with the advice.
    """
    try:
        yield
    except NonFiniteError as error:
        if checkpoints is None:
            raise
        advice = advise(run, checkpoints, train, precision)
        raise NonFiniteError(f"{error}; {advice}") from error


def advise(run: Run, checkpoints: CheckpointFolder, train: TrainConfig, precision: str) -> str:
    """Return how to continue a run whose losses or weights became infinite or NaN.

    The advice is the newest usable checkpoint and a changed setting, since a run that is resumed
    unchanged fails again. `run.resume_command` is set to that command.

    Args:
        run: The run.
        checkpoints: The checkpoints of the run.
        train: Settings of the loop.
        precision: The precision of autocast.
    """
    checkpoint = checkpoints.sound()
    if checkpoint is None:
        reason = "no checkpoint can be used" if run.checkpoint else "there is no checkpoint yet"
        return f"{reason}: start a new run"
    step = read_header(checkpoint).document["training"]["step"]
    if run.resume_with is None:
        return f"the newest usable checkpoint is {checkpoint}, of step {step}"
    setting = "train.precision=float32"
    if precision == "float32":
        setting = f"train.clip_norm={1 if train.clip_norm is None else train.clip_norm / 10:g}"
    path = run.folder if checkpoint == checkpoints.last else checkpoint
    run.resume_command = run.resume_with(path, setting)
    return f"continue from step {step} with: {run.resume_command}"


def shell_quoted(word: str) -> str:
    """Return a command-line argument, quoted for the shell of this system."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)
