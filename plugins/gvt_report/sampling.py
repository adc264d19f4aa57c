"""Generate samples with the task of a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

from gvt import Shown, UsageError
from gvt import open as open_trained
from gvt.session import PathLike


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
    opened = open_trained(checkpoint, f"device={device}", averaged=averaged)
    task = opened.load().to(opened.placement.device).eval()
    try:
        with torch.no_grad():
            sampled = task.sample(count, seed)
            return sampled.cpu() if isinstance(sampled, Tensor) else sampled
    except NotImplementedError as error:
        raise UsageError(
            f"{opened.checkpoint}: {error}; sampling needs a generative task"
        ) from error
