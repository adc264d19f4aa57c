"""Load the task of a checkpoint, and generate samples with it."""

from __future__ import annotations

import torch
from torch import Tensor

from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.fields import Shown
from gvt.session.finding import PathLike, find_checkpoint
from gvt.session.opened import Opened
from gvt.task import Task


def load(checkpoint: PathLike, *, averaged: bool = True, device: str = "cpu") -> Task:
    """Load the task of a checkpoint, in eval mode.

    Args:
        checkpoint: Path of the file, or of a run folder, for its last checkpoint.
        averaged: Whether to load the moving average of the weights, if there is one.
        device: Device of the task.

    Raises:
        CheckpointError: If the file is damaged, or its weights do not fit its components.
        UnknownComponent: If the plugin that it was trained with is not installed.
    """
    task = Opened.of_checkpoint(checkpoint, averaged=averaged).load()
    return task.to(Placement.resolve(device).device).eval()


def sample(
    checkpoint: PathLike | None = None,
    count: int = 64,
    seed: int = 0,
    *,
    averaged: bool = True,
    device: str = "auto",
) -> Tensor | Shown:
    """Generate samples with the task of a checkpoint.

    Images are (N, C, H, W) float32 in [0, 1], on the CPU. Samples of other fields are a `gvt.Shown`
    with the task's values.

    Args:
        checkpoint: Path of the file, or of a run folder, for its last checkpoint; the latest run
            by default.
        count: Number of samples; sample i of a seed does not depend on it.
        seed: Seed of the latents.
        averaged: Whether to use the moving average of the weights, if there is one.
        device: Device to compute on.

    Raises:
        UsageError: If the task does not generate samples.
        CheckpointError: If the file is damaged.
    """
    _, path = find_checkpoint(checkpoint)
    task = load(path, averaged=averaged, device=device)
    try:
        with torch.no_grad():
            sampled = task.sample(count, seed)
            return sampled.cpu() if isinstance(sampled, Tensor) else sampled
    except NotImplementedError as error:
        raise UsageError(f"{path}: {error}; sampling needs a generative task") from error
