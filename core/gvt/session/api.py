"""Running a recipe, and resuming a run. `saved` opens what was saved."""

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
from gvt.session.changeable import RESUMING
from gvt.session.finding import run_of
from gvt.session.opened import pinned
from gvt.session.training import train


def run(
    recipe: str | os.PathLike[str] | Mapping[str, Any], *overrides: str, quiet: bool = False
) -> Run:
    """Run a recipe from the beginning.

    Args:
        recipe: A recipe's name, the path of a YAML file, or a recipe's content.
        overrides: `dotted.path=value`, such as `train.steps=200`.
        quiet: Whether to show nothing.

    Returns:
        The run, with `task`, `metrics`, `folder` and `checkpoint`.

    Raises:
        UsageError: If the recipe or an override is wrong; nothing was started.
        Interrupted: If the run was asked to stop; it is saved.
        GvtError: If the run failed; the message says why.
    """
    return train(compose(recipe, overrides), quiet=quiet)


def resume(path: str | os.PathLike[str] | None = None, *overrides: str, quiet: bool = False) -> Run:
    """Resume a run; the result is bitwise that of a run that never stopped.

    Args:
        path: A run's folder or a checkpoint in it; the latest run unless given.
        overrides: Such as `train.steps=N`, to extend it. The data, its order, the networks, the
            optimisers and the moving average stay what they were. Where data and weights are may
            change (`data.root=...`); the data has to be the same.
        quiet: Whether to show nothing.

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
    """Return the folder of runs according to the overrides."""
    data: dict[str, Any] = {"run": {"root": "runs"}}
    apply_overrides(data, [o for o in overrides if parse_override(o)[0][0] == "run"])
    root = data["run"].get("root") if isinstance(data["run"], dict) else None
    if not isinstance(root, str):
        raise UsageError(f"run.root: should be a folder, not {quoted(root)}")
    return Path(expanded("run.root", root))


def _changed(
    began: RunConfig, overrides: Sequence[str], components: Mapping[str, str]
) -> RunConfig:
    """Return the configuration of a resumed run.

    Args:
        began: The configuration that the run started with.
        overrides: The changes.
        components: The distribution of each `kind:name` according to the checkpoint.

    Raises:
        UsageError: If an override changes what cannot change in a run.
    """
    after = compose(began, overrides)
    paths = paths_of(after, components)
    # Files of weights, and of the data its root, may be elsewhere now.
    movable = {p for p in paths if not p.startswith("data.") or p.endswith(".root")}
    movable |= {*RESUMING.settings}
    moved = [o for o in overrides if _moves(o, movable, began.document())]
    if changed := RESUMING.wrongly_changed(compose(began, moved), after):
        raise UsageError(
            f"{changed}: a run goes on with the data, order, networks and averages that it "
            "began with; for others start a new one with init_from=CHECKPOINT"
        )
    return after


def _moves(override: str, movable: Collection[str], document: Any) -> bool:
    """Return whether an override sets one of the movable settings that has a value already."""
    keys, value = parse_override(override)
    if value is None or ".".join(keys) not in movable:
        return False
    for key in keys:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document is not None


def _find_run(path: Path | None, root: Path) -> tuple[RunFolder, Path]:
    """Return the folder of a run and its checkpoint to resume from, which may not exist yet."""
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
