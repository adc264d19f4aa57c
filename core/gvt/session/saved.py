"""What a saved run is still good for: its networks, and new pictures of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.migration import migrated
from gvt.checkpoint.training import LAST, State, load_weights, under
from gvt.config.compose import validate
from gvt.device.placement import Placement
from gvt.errors import UsageError
from gvt.interfaces import Task
from gvt.runs.folder import RunFolder
from gvt.session.build import build_task
from gvt.session.facts import DataFacts

PathLike = str | os.PathLike[str]

PINNED = ("precision", "memory_format", "compile")
"""Settings that stay what `auto` once resolved to, since results depend on them."""


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
    _, path = find_checkpoint(checkpoint)
    task = task_of(checkpoint_file.load(path, of_run=True), path, averaged)
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


def is_recipe(name: PathLike) -> bool:
    """Whether a name that stands for something trained, or for a recipe, is a recipe's."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return True
    looks_like_path = len(path.parts) > 1 or path.suffix == ".safetensors"
    return not (path.exists() or looks_like_path)


def find_checkpoint(path: PathLike | None) -> tuple[RunFolder | None, Path]:
    """Return a checkpoint, and its run if it stands in one.

    Raises:
        UsageError: If a folder is no run's, or has no checkpoint yet.
    """
    if path is not None and not Path(path).is_dir():
        return run_of(Path(path)), Path(path)
    run = find_run(path)
    last = run.checkpoints / LAST
    if not (run.config.is_file() and last.is_file()):
        raise UsageError(f"{str(run.path)!r} is no run's folder, or has no checkpoint yet")
    return run, last


def find_run(path: PathLike | None) -> RunFolder:
    """Return a run: of a folder, of a checkpoint in one, or the latest for None.

    Raises:
        UsageError: If a file stands in no run, or there is no run yet.
    """
    if path is None:
        return RunFolder.latest(Path("runs"))
    if not Path(path).is_file():
        return RunFolder(Path(path))
    run = run_of(Path(path))
    if run is None:
        raise UsageError(
            f"{str(path)!r} is no checkpoint in a run; name a folder such as runs/RECIPE/TIME, or "
            "a file in its checkpoints/"
        )
    return run


def run_of(checkpoint: Path) -> RunFolder | None:
    """Return the run of a file that stands in `checkpoints/` beside a `config.yaml`."""
    # The folder is resolved and the file is not: one that is a link belongs where the link is.
    place = checkpoint.parent.resolve()
    run = RunFolder(place.parent)
    return run if place == run.checkpoints and run.config.is_file() else None


def pinned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's configuration, with what results depend on as it was resolved."""
    document = migrated(document)
    config: dict[str, Any] = dict(document["config"])
    resolved = document["resolved"]["train"]
    config["train"] = {**config["train"], **{name: resolved[name] for name in PINNED}}
    return config


def task_of(state: State, path: Path, averaged: bool) -> Task:
    """Build a checkpoint's task with its weights, averaged ones if there are and it is wanted."""
    document, tensors = migrated(state[0]), state[1]
    config = validate(document["config"], str(path))
    task = build_task(config, DataFacts.from_document(document["data"]), document["components"])
    load_weights(task, under("task/", tensors) | (under("ema/", tensors) if averaged else {}))
    task.origin = document
    return task
