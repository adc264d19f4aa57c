"""What a message advises when a run's numbers are not finite."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gvt.checkpoint.document import read_header
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import TrainConfig
from gvt.errors import NonFiniteError
from gvt.loop.listener import Run

if TYPE_CHECKING:
    from gvt.loop.trainer import Trainer


@contextmanager
def advising(trainer: Trainer) -> Iterator[None]:
    """Let a message about numbers that are not finite say how to continue.

    Raises:
        NonFiniteError: The one raised inside, with the advice.
    """
    try:
        yield
    except NonFiniteError as error:
        if trainer.checkpoints is None or not trainer.world.is_first:
            raise
        precision = trainer.placement.precision
        advice = advise(trainer.run, trainer.checkpoints, trainer.train, precision)
        raise NonFiniteError(f"{error}; {advice}") from error


def advise(run: Run, checkpoints: CheckpointFolder, train: TrainConfig, precision: str) -> str:
    """Return how to continue a run whose numbers became infinite or NaN.

    It names the newest checkpoint that can be used, and a setting that makes a difference, since a
    run that is resumed as it was ends as it did. `run.resume_command` becomes that command.

    Args:
        run: The run.
        checkpoints: Its checkpoints.
        train: Its settings.
        precision: What autocast computes in.
    """
    checkpoint = checkpoints.sound()
    if checkpoint is None:
        what = "its checkpoints cannot be used" if run.checkpoint else "there is no checkpoint yet"
        return f"{what}: start a new run"
    step = read_header(checkpoint).document["training"]["step"]
    if not run.resume_command:
        return f"the newest checkpoint that can be used is {checkpoint}, of step {step}"
    command = run.resume_command
    if checkpoint != checkpoints.last:
        folder = str(run.folder)
        command = command.replace(shell_quoted(folder), shell_quoted(str(checkpoint)), 1)
    run.resume_command = f"{command} {_setting(train, precision)}"
    return f"continue from step {step} with: {run.resume_command}"


def shell_quoted(word: str) -> str:
    """Return a word of a command as this system's shell reads it."""
    return subprocess.list2cmdline([word]) if os.name == "nt" else shlex.quote(word)


def _setting(train: TrainConfig, precision: str) -> str:
    if precision != "float32":
        return "train.precision=float32"
    return f"train.clip_norm={1 if train.clip_norm is None else train.clip_norm / 10:g}"
