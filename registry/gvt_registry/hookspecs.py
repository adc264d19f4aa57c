"""The hooks, all of them. A plugin implements those it wants and nothing else.

A hook with the argument `run` is an event of a run, the `gvt.Run` under way: its `config`, `info`,
`folder`, `task`, `step`, `metrics`, `checkpoint`, `examples(count)`. A `gvt.Listener` follows the
same events. Only the first process of a distributed run has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from gvt_registry.component import Component

if TYPE_CHECKING:
    import click

API_VERSION = 1
"""Major version of this page. A plugin may say which it was written for: `gvt_api = 1`."""

hookspec = pluggy.HookspecMarker("gvt")
hookimpl = pluggy.HookimplMarker("gvt")


@hookspec
def gvt_components() -> Iterable[Component] | Component:  # type: ignore[empty-body]
    """Called once, when components are first asked for: what the plugin offers."""


@hookspec
def gvt_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Called when the command line looks for commands: further ones, beside `run` and `list`.

    The commands of a `click.Group` join those of the group of that name, such as `plugin`.
    """


@hookspec
def gvt_sections() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Called when a recipe is validated: the top-level sections that the plugin adds to recipes.

    Each name leads to a pydantic model, `"package.module:Model"`, imported with the first recipe.
    A run has the section under its name: `run.config.section("name", Model)`.
    """


@hookspec
def gvt_names() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Called when `gvt.NAME` is not one of gvt's own names: the names that the plugin adds.

    Each name leads to `"package.module:attribute"` or to a module, `"package.module"`, imported
    when the name is first used.
    """


@hookspec
def gvt_run_started(run: Any) -> None:
    """Called once, when everything is built and before the first step, also of a resumed run."""


@hookspec
def gvt_step_ended(run: Any, step: int, losses: Mapping[str, Any]) -> None:
    """Called after every step with its losses, still tensors on the device (reading one waits)."""


@hookspec
def gvt_losses_read(run: Any, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Called every so often with (step, losses) of all steps since the last time, as numbers."""


@hookspec
def gvt_epoch_ended(run: Any, epoch: int) -> None:
    """Called after the last step of an epoch; `epoch` counts from 1."""


@hookspec
def gvt_evaluated(
    run: Any, step: int, split: str, metrics: Mapping[str, float], evaluation: Any
) -> None:
    """Called after an evaluation of a held-out split, with its metrics and losses.

    `evaluation` is the `gvt.Evaluation` that these are of, with its tables and worst mistakes.
    """


@hookspec
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Called with sheets by name: (N, C, H, W) or (rows, columns, C, H, W) tensors in [0, 1]."""


@hookspec
def gvt_checkpoint_saved(run: Any, path: Path) -> None:
    """Called when a checkpoint stands on disk, complete."""


@hookspec
def gvt_run_ended(run: Any, outcome: str, error: BaseException | None) -> None:
    """Called once at the end; `outcome` is `success`, `failure` or `interrupt`."""


@hookspec
def gvt_checkpoint_evaluated(
    folder: Path, split: str, step: int | None, evaluation: Any, run_folder: Path | None
) -> None:
    """Called after an evaluation apart from a run, with `folder/SPLIT.json` on disk.

    `evaluation` is the `gvt.Evaluation`. `step` is None for predictions of a file. `run_folder` is
    None unless the evaluation is the run's own and `folder` is in it.
    """
