"""Find the recipe, run folder or checkpoint that a name refers to."""

from __future__ import annotations

import os
from pathlib import Path

from gvt.checkpoint.training import LAST
from gvt.errors import UsageError
from gvt.runs.folder import RunFolder

PathLike = str | os.PathLike[str]


def is_recipe(name: PathLike) -> bool:
    """Return whether a name refers to a recipe, and not to a run or a checkpoint."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return True
    looks_like_path = len(path.parts) > 1 or path.suffix == ".safetensors"
    return not (path.exists() or looks_like_path)


def find_checkpoint(path: PathLike | None) -> tuple[RunFolder | None, Path]:
    """Return the run of a checkpoint, or None, and the path of the checkpoint.

    Args:
        path: Path of a checkpoint or of a run folder; the latest run by default.

    Raises:
        UsageError: If a folder is not a run folder, or has no checkpoint yet.
    """
    if path is not None and not Path(path).is_dir():
        return run_of(Path(path)), Path(path)
    run = find_run(path)
    last = run.checkpoints / LAST
    if not (run.config.is_file() and last.is_file()):
        raise UsageError(f"{str(run.path)!r} is not a run folder, or has no checkpoint yet")
    return run, last


def find_run(path: PathLike | None) -> RunFolder:
    """Return a run, given its folder or a checkpoint in it; the latest run for None.

    Raises:
        UsageError: If a file does not belong to a run, or there is no run yet.
    """
    if path is None:
        return RunFolder.latest(Path("runs"))
    run = run_of(Path(path)) if Path(path).is_file() else RunFolder(Path(path))
    if run is None:
        raise UsageError(
            f"{str(path)!r} is not a checkpoint of a run; give a folder such as runs/RECIPE/TIME, "
            "or a file in its checkpoints/"
        )
    return run


def run_of(checkpoint: Path) -> RunFolder | None:
    """Return the run of a file in a folder `checkpoints/` beside a `config.yaml`, or None."""
    # Only the folder is resolved: a link to a file belongs to the run that contains the link.
    folder = checkpoint.parent.resolve()
    run = RunFolder(folder.parent)
    return run if folder == run.checkpoints and run.config.is_file() else None
