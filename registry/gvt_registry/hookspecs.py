"""The hooks. A plugin implements any of them.

A hook with the argument `run` is an event of a run, a `gvt.Run` with `config`, `info`, `folder`,
`task`, `step`, `metrics`, `checkpoint` and `examples(count)`. A `gvt.Listener` receives the same
events. In a distributed run, only the first process has them.
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
"""Major version of the hooks. A plugin may set that which it was written for: `gvt_api = 1`."""

hookspec = pluggy.HookspecMarker("gvt")
hookimpl = pluggy.HookimplMarker("gvt")


@hookspec
def gvt_components() -> Iterable[Component] | Component:  # type: ignore[empty-body]
    """Return the components of the plugin. Called once, when components are first needed."""


@hookspec
def gvt_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Return further commands of `gvt`. Called when the command line looks up commands.

    The commands of a `click.Group` are added to those of the group of its name, such as `plugin`.
    """


@hookspec
def gvt_sections() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the top-level sections that the plugin adds to recipes. Called for each recipe.

    Each name has the place of a pydantic model, `"package.module:Model"`, which is imported with
    the first recipe. The section of a run is `run.config.section("name", Model)`.
    """


@hookspec
def gvt_names() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the names that the plugin adds to `gvt`. Called if gvt itself has no `gvt.NAME`.

    Each name has the place of an object, `"package.module:attribute"`, or of a module,
    `"package.module"`, which is imported when the name is first used.
    """


@hookspec
def gvt_fields() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the fields that the plugin adds: keys of samples. Called when one is first used.

    Each name has the place of a `gvt.Field`, `"package.module:Class"`.
    """


@hookspec
def gvt_adapt_data(data: Any) -> Any:
    """Return data of another form as a data set of one split; None if the form is not known.

    Called by `gvt.fit` for data that lacks what `gvt.Dataset` requires, such as a data set of
    torch. The first answer is used.
    """


@hookspec
def gvt_run_started(run: Any) -> None:
    """Called once, before the first step of a run or a resumed run, when all is built."""


@hookspec
def gvt_step_ended(run: Any, step: int, losses: Mapping[str, Any]) -> None:
    """Called after each step with its losses, tensors on the device (reading one waits for it)."""


@hookspec
def gvt_losses_read(run: Any, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Called at intervals with (step, losses) of all steps since the last call, as numbers."""


@hookspec
def gvt_epoch_ended(run: Any, epoch: int) -> None:
    """Called after the last step of an epoch; `epoch` counts from 1."""


@hookspec
def gvt_evaluated(
    run: Any, step: int, split: str, metrics: Mapping[str, float], evaluation: Any
) -> None:
    """Called after an evaluation of a held-out split, with its metrics and losses.

    `evaluation` is the whole `gvt.Evaluation`, with its tables and worst mistakes.
    """


@hookspec
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Called with what the task shows by name, each a `gvt.Shown`, such as a sheet of images."""


@hookspec
def gvt_checkpoint_saved(run: Any, path: Path) -> None:
    """Called when a checkpoint has been written completely."""


@hookspec
def gvt_run_ended(run: Any, outcome: str, error: BaseException | None) -> None:
    """Called once at the end of a run; `outcome` is `success`, `failure` or `interrupt`."""


@hookspec
def gvt_checkpoint_evaluated(
    folder: Path, split: str, step: int | None, evaluation: Any, run_folder: Path | None
) -> None:
    """Called after an evaluation outside a run, when `folder/SPLIT.json` is written.

    `evaluation` is the `gvt.Evaluation`. `step` is None for predictions in a file. `run_folder` is
    None unless `folder` is in the folder of the run that was evaluated.
    """
