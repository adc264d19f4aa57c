"""Run a recipe, and resume a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

from gvt.checkpoint import file as checkpoint_file
from gvt.checkpoint.training import LAST, State
from gvt.config import RunConfig, compose
from gvt.config.compose import apply_overrides, parse_override
from gvt.config.paths import expanded
from gvt.device.processes import world
from gvt.errors import UsageError
from gvt.loop.listener import Run
from gvt.printable import quoted
from gvt.runs.folder import RunFolder
from gvt.runs.writer import sole_writer
from gvt.session.build import paths_of
from gvt.session.changeable import MOVABLE, RESUMING, first_change
from gvt.session.finding import PathLike, run_of
from gvt.session.opened import pinned
from gvt.session.training import train


def run(recipe: PathLike | Mapping[str, Any], *overrides: str, quiet: bool = False) -> Run:
    """Run a recipe from the beginning.

    Args:
        recipe: Name of a recipe, path of a YAML file, or content of a recipe.
        overrides: Overrides `dotted.path=value`, such as `train.steps=200`.
        quiet: Whether to show nothing.

    Returns:
        The run, with `task`, `metrics`, `folder` and `checkpoint`.

    Raises:
        UsageError: If the recipe or an override is wrong; nothing was started.
        Interrupted: If the run was interrupted; it is saved.
        GvtError: If the run failed; the message gives the reason.
    """
    return train(compose(recipe, overrides), quiet=quiet)


def resume(path: PathLike | None = None, *overrides: str, quiet: bool = False) -> Run:
    """Resume a run; the result is bitwise that of a run without interruption.

    Args:
        path: Path of a run folder, or of a checkpoint in it; the latest run by default.
        overrides: Overrides such as `train.steps=N`, which extends the run. The data, its order,
            the model, the optimisers and the moving average cannot be changed. Paths of data and
            weights can (`data.root=...`), if the data is the same.
        quiet: Whether to show nothing.

    Raises:
        UsageError: If there is nothing to resume, or an override would change the model.
        RunInUseError: If another process writes to the run folder.
        CheckpointError: If the checkpoint is damaged.
    """
    folder, checkpoint = _find_run(path, overrides)
    with locked(folder, checkpoint) as state:
        if state is None:
            config = _changed(compose(folder.config), overrides, {})
            return train(config, folder=folder, quiet=quiet)
        config = _changed(pinned(state[0]), overrides, state[0]["components"])
        return train(config, folder=folder, state=state, quiet=quiet)


@contextmanager
def locked(folder: RunFolder, checkpoint: Path | None = None) -> Iterator[State | None]:
    """Lock the folder of a run, and yield the state to resume from; all processes call it.

    Args:
        folder: Folder of the run.
        checkpoint: A checkpoint in it, the last one by default. If there is none, the state is
            None.

    Raises:
        RunInUseError: If another process writes to the folder.
        CheckpointError: If the checkpoint is damaged.
    """
    with ExitStack() as lock:
        with world() as processes:
            if processes.is_first:
                lock.enter_context(sole_writer(folder.path, "trained"))
            # The checkpoint is read once the folder is locked: another run might replace it.
            processes.gather(None)
        path = checkpoint or folder.checkpoints / LAST
        yield checkpoint_file.load(path, of_run=True) if path.exists() else None


def _root(overrides: Sequence[str]) -> Path:
    """Return the folder of all runs according to the overrides."""
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
        overrides: Overrides `dotted.path=value`.
        components: The distribution of each `kind:name` according to the checkpoint.

    Raises:
        UsageError: If an override changes a setting that is fixed for a run.
    """
    after = compose(began, overrides)
    paths = paths_of(began, components)
    # Weights files and the root of the data may have moved; what had no value cannot.
    movable = {p for p in paths if not p.startswith("data.") or p.endswith(".root")}
    movable |= {p for p in MOVABLE if attrgetter(p)(began) is not None}
    settings = ((o, *parse_override(o)) for o in overrides)
    moves = [o for o, keys, value in settings if value is not None and ".".join(keys) in movable]
    if changed := first_change(RESUMING, compose(began, moves), after):
        raise UsageError(
            f"{changed}: cannot be changed when a run is resumed; start a new run with "
            "init_from=CHECKPOINT"
        )
    return after


def _find_run(name: PathLike | None, overrides: Sequence[str]) -> tuple[RunFolder, Path]:
    """Return the folder of a run and the checkpoint to resume from, which may not exist yet."""
    path = RunFolder.latest(_root(overrides)).path if name is None else Path(name)
    folder = run_of(path) if path.is_file() else RunFolder(path)
    if folder is None or not folder.config.is_file():
        raise UsageError(
            f"{str(path)!r} is neither a run folder nor a checkpoint in one; to start from a "
            "checkpoint's weights: gvt run RECIPE init_from=CHECKPOINT"
        )
    return folder, path if path.is_file() else folder.checkpoints / LAST
