"""Images, plots and the report of runs with a folder; `gvt report`, and samples of models.

`GVT_BLOCK_PLUGINS=report` disables it: a run then writes its log, the metrics of its evaluations
and its checkpoints, but no images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvt_registry import hookimpl

if TYPE_CHECKING:
    import click

    from gvt import Evaluation
    from gvt_report.follower import Follower

# By the folders of the current runs, not by the runs, so that no task is kept alive.
_followers: dict[Path, Follower] = {}


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Return the commands `gvt sample` and `gvt report`."""
    from gvt_report.commands import report, sample

    return [sample, report]


@hookimpl
def gvt_names() -> dict[str, str]:
    """Offer `gvt.sample`."""
    return {"sample": "gvt_report.sampling:sample"}


@hookimpl
def gvt_run_started(run: Any) -> None:
    """Draw training samples."""
    if run.folder is not None:
        from gvt_report.follower import Follower

        follower = _followers[run.folder] = Follower(run.folder)
        follower.start(run)


@hookimpl
def gvt_evaluated(run: Any, step: int, split: str, evaluation: Evaluation) -> None:
    """Store the last evaluation of each split, to be drawn at the end."""
    if follower := _followers.get(run.folder):
        follower.keep(step, split, evaluation)


@hookimpl
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Save the sheets, and the progress of their first image."""
    if follower := _followers.get(run.folder):
        follower.draw(step, pictures)


@hookimpl
def gvt_run_ended(run: Any) -> None:
    """Draw plots and evaluations, and write the report, for every outcome of the run."""
    if follower := _followers.pop(run.folder, None):
        follower.end(run)


@hookimpl
def gvt_checkpoint_evaluated(
    folder: Path, split: str, step: int | None, evaluation: Evaluation, run_folder: Path | None
) -> None:
    """Draw an evaluation, and update the report of the run if it belongs to the run."""
    from gvt_report.follower import draw_after

    draw_after(folder, split, step, evaluation, run_folder)
