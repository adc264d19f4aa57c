"""The doors in Python: run and resume. Those to what was saved are in `saved`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import LAST
from gvt.config import RunConfig, compose
from gvt.config.compose import apply_overrides, parse_override
from gvt.config.paths import expanded
from gvt.device.processes import first_enters
from gvt.errors import UsageError
from gvt.loop.listener import Run
from gvt.printable import quoted
from gvt.runs.folder import RunFolder
from gvt.runs.writer import sole_writer
from gvt.session.build import paths_of
from gvt.session.finding import run_of
from gvt.session.opened import pinned
from gvt.session.training import train

CHANGEABLE = ("train", "evaluate", "run", "device")
"""What may change when a run goes on, and so may the sections of plugins."""

FIXED = ("seed", "accumulate", "ema")
"""What is under `train` and yet may not: order and averages follow from it."""

MOVABLE = ("init_from", "data.workers")
"""Settings elsewhere that say where and how things are read, and change no result."""


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
            optimisers and the moving average stay what they were. Where data and weights are may
            change (`data.root=...`); the data has to be the same.
        quiet: Show nothing.

    Raises:
        UsageError: If there is nothing to resume, or an override would change the model.
        RunInUseError: If another process writes into the run's folder.
        CheckpointError: If the checkpoint is damaged.
    """
    folder, checkpoint = _find_run(Path(path) if path is not None else None, _root(overrides))
    # Before the checkpoint is read: whoever has the lock may be about to write a newer one.
    with first_enters(sole_writer(folder.path, "trained")):
        if not checkpoint.exists():
            config = _changed(compose(folder.config), overrides, {})
            return train(config, folder=folder, quiet=quiet)
        state = checkpoint_file.load(checkpoint, of_run=True)
        config = _changed(pinned(state[0]), overrides, state[0]["components"])
        return train(config, folder=folder, state=state, quiet=quiet)


def _root(overrides: Sequence[str]) -> Path:
    """Return where runs are, by the overrides that say it."""
    data: dict[str, Any] = {"run": {"root": "runs"}}
    apply_overrides(data, [o for o in overrides if parse_override(o)[0][0] == "run"])
    root = data["run"].get("root") if isinstance(data["run"], dict) else None
    if not isinstance(root, str):
        raise UsageError(f"run.root: should be a folder, not {quoted(root)}")
    return Path(expanded("run.root", root))


def _changed(
    began: RunConfig, overrides: Sequence[str], components: Mapping[str, str]
) -> RunConfig:
    """Return the new configuration of a run that goes on.

    Args:
        began: The configuration that it began with.
        overrides: What is to be changed.
        components: Of a checkpoint the distribution of each `kind:name` then.

    Raises:
        UsageError: If it changes what has to stay.
    """
    after = compose(began, overrides)
    movable = {*MOVABLE, *_movable_paths(after, components)}
    moved = [o for o in overrides if _moves(o, movable, began.document())]
    before = compose(began, moved)
    fixed = [n for n in RunConfig.model_fields if n not in CHANGEABLE]
    changed = [n for n in fixed if getattr(before, n) != getattr(after, n)]
    changed += [f"train.{n}" for n in FIXED if getattr(before.train, n) != getattr(after.train, n)]
    if changed:
        raise UsageError(
            f"{changed[0]}: a run goes on with the data, order, networks and averages that it "
            "began with; for others start a new one with init_from=CHECKPOINT"
        )
    return after


def _movable_paths(config: RunConfig, components: Mapping[str, str]) -> list[str]:
    """Return the places of the data's root and of files of weights, in a configuration."""
    return [
        place
        for place in paths_of(config, components)
        if not place.startswith("data.") or place.endswith(".root")
    ]


def _moves(override: str, movable: Collection[str], document: Any) -> bool:
    """Return whether an override gives another value to a setting that may have one."""
    keys, value = parse_override(override)
    if value is None or ".".join(keys) not in movable:
        return False
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document is not None


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
