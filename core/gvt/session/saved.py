"""What a saved run is still good for: its networks, and new pictures of them."""

from __future__ import annotations

import torch
from torch import Tensor

from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.interfaces import Task
from gvt.session.finding import PathLike, find_checkpoint
from gvt.session.opened import Opened


def load(checkpoint: PathLike, *, averaged: bool = True, device: str = "cpu") -> Task:
    """Return the task of a checkpoint, in eval mode.

    Args:
        checkpoint: The file, or a run's folder, whose last one is taken.
        averaged: Take the moving average of the weights where there is one.
        device: Where to put it.

    Raises:
        CheckpointError: If the file is damaged, or of another model than its components build.
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
) -> Tensor:
    """Return new pictures of a generative task, (N, C, H, W) float32 in [0, 1], on the CPU.

    Args:
        checkpoint: The file, or a run's folder, whose last one is taken; the latest run's unless
            given.
        count: How many; picture i of a seed is the same one whatever the count.
        seed: Where their latents come from.
        averaged: Take the moving average of the weights where there is one.
        device: Where to compute.

    Raises:
        UsageError: If the task makes no pictures.
        CheckpointError: If the file is damaged.
    """
    _, path = find_checkpoint(checkpoint)
    task = load(path, averaged=averaged, device=device)
    try:
        with torch.no_grad():
            return task.sample(count, seed).cpu()
    except NotImplementedError as error:
        raise UsageError(f"{path}: {error}; sampling is for tasks that generate") from error
