"""The doors in Python: run and resume. Those to what was saved are in `saved`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import LAST
from gvt.config import RunConfig, compose
from gvt.errors import UsageError
from gvt.listener import Run
from gvt.runs.folder import RunFolder
from gvt.saved import pinned, run_of
from gvt.session import train

CHANGEABLE = ("train", "evaluate", "predict", "run", "device")
"""What may change when a run goes on."""

FIXED = ("seed", "accumulate", "ema")
"""What is under `train` and yet may not: order and averages follow from it."""


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
    state = checkpoint_file.load(checkpoint, of_run=True)
    before = pinned(state[0])
    config = _changed(compose(before), compose(before, overrides))
    return train(config, folder=folder, state=state, quiet=quiet)


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
        folder: RunFolder | None = RunFolder.latest(root)
    else:
        folder = run_of(path) if path.is_file() else RunFolder(path)
    if folder is None or not folder.config.is_file():
        raise UsageError(
            f"{str(path)!r} is no run's folder and no checkpoint in one; to start from a "
            "checkpoint's weights: gvt run RECIPE init_from=CHECKPOINT"
        )
    if path is not None and path.is_file():
        return folder, path
    return folder, folder.checkpoints / LAST
