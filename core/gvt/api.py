"""The doors in Python: run, resume, load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gvt.build import DataFacts, build_task
from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import load_weights, under
from gvt.config import RunConfig, compose
from gvt.config.compose import validate
from gvt.device import Placement
from gvt.errors import UsageError
from gvt.interfaces import Task
from gvt.listener import Run
from gvt.runs.folder import RunFolder
from gvt.session import train

CHANGEABLE = ("train", "evaluate", "run", "device")
"""What may change when a run goes on."""

FIXED = ("seed", "accumulate", "ema")
"""What is under `train` and yet may not: order and averages follow from it."""

PINNED = ("precision", "memory_format", "compile")
"""Settings that stay what `auto` once resolved to, since results depend on them."""


def run(
    recipe: str | os.PathLike[str] | Mapping[str, Any], *overrides: str, quiet: bool = False
) -> Run:
    """Run a recipe from the beginning.

    Args:
        recipe: A recipe's name, the path of a YAML file, or a recipe's content.
        overrides: `dotted.path=value`, such as `train.steps=200`.
        quiet: Show nothing.

    Returns:
        The run, with `task`, `metrics`, `folder` and `checkpoint`.

    Raises:
        UsageError: If the recipe or an override is wrong; nothing has been started then.
        Interrupted: If it was asked to stop; it is saved then.
        GvtError: If it failed; the message says why.
    """
    return train(compose(recipe, overrides), quiet=quiet)


def resume(path: str | os.PathLike[str] | None = None, *overrides: str, quiet: bool = False) -> Run:
    """Go on with a run, bit by bit as if it had never stopped.

    Args:
        path: A run's folder or a checkpoint in it; the latest run unless given.
        overrides: Such as `train.steps=N`, to extend it. The data, its order, the networks, the
            optimisers and the moving average stay what they were.
        quiet: Show nothing.

    Raises:
        UsageError: If there is nothing to resume, or an override would change the model.
        CheckpointError: If the checkpoint is damaged.
    """
    root = next((o.partition("=")[2] for o in overrides if o.startswith("run.root=")), "runs")
    folder, checkpoint = _find_run(Path(path) if path is not None else None, Path(root))
    if not checkpoint.exists():
        config = _changed(compose(folder.config), compose(folder.config, overrides))
        return train(config, folder=folder, quiet=quiet)
    state = checkpoint_file.load(checkpoint)
    before = _pinned(state[0])
    config = _changed(compose(before), compose(before, overrides))
    return train(config, folder=folder, state=state, quiet=quiet)


def load(checkpoint: str | os.PathLike[str], *, averaged: bool = True, device: str = "cpu") -> Task:
    """Return the task of a checkpoint, in eval mode.

    Args:
        checkpoint: The file.
        averaged: Take the moving average of the weights where there is one.
        device: Where to put it.

    Raises:
        CheckpointError: If the file is damaged, or of another model than its components build.
        UnknownComponent: If the plugin that it was trained with is not installed.
    """
    document, tensors = checkpoint_file.load(Path(checkpoint))
    config = validate(document["config"], str(checkpoint))
    task = build_task(config, DataFacts.from_document(document["data"]), document["components"])
    weights = under("task/", tensors) | (under("ema/", tensors) if averaged else {})
    load_weights(task, weights)
    return task.to(Placement.resolve(device).device).eval()


def _changed(before: RunConfig, after: RunConfig) -> RunConfig:
    """Return the new configuration of a run that goes on.

    Raises:
        UsageError: If it changes what has to stay.
    """
    fixed = [n for n in RunConfig.model_fields if n not in CHANGEABLE]
    changed = [n for n in fixed if getattr(before, n) != getattr(after, n)]
    changed += [f"train.{n}" for n in FIXED if getattr(before.train, n) != getattr(after.train, n)]
    if changed:
        raise UsageError(
            f"{changed[0]}: a run goes on with the data, order, networks and averages that it "
            "began with; for others start a new one with init_from=CHECKPOINT"
        )
    return after


def _find_run(path: Path | None, root: Path) -> tuple[RunFolder, Path]:
    """Return a run's folder and the checkpoint to go on from, which may not be there yet."""
    if path is None:
        folder = RunFolder.latest(root)
    elif path.is_file():
        folder = RunFolder(path.resolve().parent.parent)
    else:
        folder = RunFolder(path)
    if not folder.config.is_file():
        raise UsageError(
            f"{str(path)!r} is no run's folder and no checkpoint in one; to start from a "
            "checkpoint's weights: gvt run RECIPE init_from=CHECKPOINT"
        )
    if path is not None and path.is_file():
        return folder, path
    return folder, folder.checkpoints / "last.safetensors"


def _pinned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's configuration, with what results depend on as it was resolved."""
    config: dict[str, Any] = dict(document["config"])
    resolved = document["resolved"]["train"]
    config["train"] = {**config["train"], **{name: resolved[name] for name in PINNED}}
    return config
