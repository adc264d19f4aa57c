"""Follows every run that has a folder, and adds `gvt report` and `gvt sample`.

`GVT_BLOCK_PLUGINS=report` switches it off: a run then leaves its log, the figures of its
evaluations and its checkpoints, and no images.
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

# By the folders of the runs under way, and not by the runs: nothing here keeps a task alive.
_followers: dict[Path, Follower] = {}


@hookimpl
def gvt_commands() -> list[click.Command]:
    """Offer the commands."""
    from gvt_report.commands import report, sample

    return [sample, report]


@hookimpl
def gvt_run_started(run: Any) -> None:
    """Draw training samples."""
    if run.folder is not None:
        from gvt_report.follower import Follower

        follower = _followers[run.folder] = Follower(run.folder)
        follower.start(run)


@hookimpl
def gvt_evaluated(run: Any, step: int, split: str, evaluation: Evaluation) -> None:
    """Keep the last evaluation of each split for the end."""
    if follower := _followers.get(run.folder):
        follower.keep(step, split, evaluation)


@hookimpl
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Save the sheets, and how their first image came about."""
    if follower := _followers.get(run.folder):
        follower.draw(step, pictures)


@hookimpl
def gvt_run_ended(run: Any) -> None:
    """Draw plots and evaluations, and write the report, however the run ended."""
    if follower := _followers.pop(run.folder, None):
        follower.end(run)


@hookimpl
def gvt_checkpoint_evaluated(
    folder: Path, split: str, step: int | None, evaluation: Evaluation, run_folder: Path | None
) -> None:
    """Draw an evaluation, and bring the report of the run up to date if it is the run's own."""
    from gvt_report.follower import draw_after

    draw_after(folder, split, step, evaluation, run_folder)
