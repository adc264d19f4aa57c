"""Load and save the task of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gvt.checkpoint import file as checkpoint_file
from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.files import make_folder
from gvt.finite import infinite_places, infinite_weights, raise_earliest
from gvt.session.finding import PathLike, run_of
from gvt.session.opened import Opened
from gvt.task import Task

_STATISTICS = ("running_mean", "running_var")
"""Names of the statistics of torch's normalisation layers."""


def load(
    checkpoint: PathLike, *, task: Task | None = None, averaged: bool = True, device: str = "cpu"
) -> Task:
    """Load the task of a checkpoint, in eval mode.

    Args:
        checkpoint: Path of the file, or of a run folder, for its last checkpoint.
        task: A task that was built in code, which gets the weights and is returned. It is required
            if no recipe describes the task of the checkpoint.
        averaged: Whether to load the moving average of the weights, if there is one.
        device: Device of the task.

    Raises:
        CheckpointError: If the file is damaged, or its weights do not fit its components.
        UnknownComponent: If the plugin that it was trained with is not installed.
        ConfigError: If a part of the task was built in code, and `task` is not given.
    """
    opened = Opened.of_checkpoint(checkpoint, averaged=averaged)
    opened.built = task
    return opened.load().to(Placement.resolve(device).device).eval()


def write_checkpoint(task: Task, path: Path, document: dict[str, Any]) -> Path:
    """Write the weights of a task as a checkpoint without optimiser state, and return its path.

    Args:
        task: The task.
        path: Path of the file.
        document: The document, as `document_of` returns it, and without or with a training state.

    Raises:
        UsageError: If the file belongs to a run.
        NonFiniteError: If a weight is infinite or NaN.
        CheckpointError: If the file cannot be written.
    """
    if run_of(path) is not None:
        raise UsageError(
            f"{path} is in the checkpoints folder of a run; choose a path outside of it"
        )
    training = document.get("training", {"step": 0, "epoch": 0, "position": 0, "best": None})
    training = {**training, "metrics": {}, "optimizer_values": {}, "scalers": {}}
    tensors = {f"task/{n}": t for n, t in task.state_dict().items()}
    # Buffers may be infinite by design; statistics of normalisation layers may not.
    places = infinite_places(task).items()
    constant = {f"task/{n}": mask for n, mask in places if not n.endswith(_STATISTICS)}
    raise_earliest([infinite_weights(training["step"], tensors, constant)])
    with checkpoint_file.explained_errors(path):
        make_folder(path.parent)
    checkpoint_file.save(path, tensors, {**document, "training": training})
    return path
