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
    """Return a checkpoint, and the run that it belongs to, if any.

    Raises:
        UsageError: If a folder is not a run folder, or has no checkpoint yet.
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
        UsageError: If a file does not belong to a run, or there is no run yet.
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
