"""Log every run for TensorBoard, if the package `tensorboard` is installed.

The event files are in `<run.folder>/tensorboard/`, with the names that `metrics.jsonl` has. Only
`train/cosine/...` is `cosine/...`, a group of its own beside the losses.
`GVT_BLOCK_PLUGINS=tensorboard` disables it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvt_registry import hookimpl

if TYPE_CHECKING:
    from gvt import Evaluation
    from gvt_tensorboard.writer import EventWriter

# By the folders of the current runs, not by the runs, so that no task is kept alive.
_writers: dict[Path, EventWriter] = {}


@hookimpl
def gvt_run_started(run: Any) -> None:
    """Open the event file, and write the size and the configuration of the run."""
    if run.folder is None or not _is_installed():
        return
    from gvt.config import dump_yaml
    from gvt.files import make_folder_inside
    from gvt_tensorboard.writer import EventWriter

    make_folder_inside(run.folder, run.folder / "tensorboard")
    writer = _writers[run.folder] = EventWriter(run.folder / "tensorboard", run.step)
    size = f"{run.total_steps} steps of {run.samples_per_step} samples"
    writer.text("run", f"{size}; {run.steps_per_epoch} steps are an epoch", run.step)
    if run.config is not None:  # a run in code may have a folder and no configuration
        writer.code("config", dump_yaml(run.config.document()), run.step)


@hookimpl
def gvt_losses_read(run: Any, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    """Write the losses and cosines of every step, and the learning rates of the last one."""
    if writer := _writers.get(run.folder):
        last = rows[-1][0]
        writer.scalars((step, {_tag(n): v for n, v in losses.items()}) for step, losses in rows)
        writer.scalars([(last, run.learning_rates)], "lr/")


@hookimpl
def gvt_evaluated(run: Any, step: int, split: str, evaluation: Evaluation) -> None:
    """Write the metrics, and every table, such as the confusion matrix, as one image."""
    if writer := _writers.get(run.folder):
        writer.scalars([(step, evaluation.named(split))])
        for name, table in evaluation.tables.items():
            writer.table(f"{split}/{name}", table, step)


@hookimpl
def gvt_pictures_drawn(run: Any, step: int, pictures: Mapping[str, Any]) -> None:
    """Write what the task shows: images and animations, sounds, and texts."""
    if writer := _writers.get(run.folder):
        for name, shown in pictures.items():
            writer.files(f"pictures/{name}", shown.files(), step)


@hookimpl
def gvt_checkpoint_saved(run: Any) -> None:
    """Flush the file, so that it is complete up to the checkpoint if the run is killed."""
    if writer := _writers.get(run.folder):
        writer.flush()


@hookimpl
def gvt_run_ended(run: Any) -> None:
    """Close the event file."""
    if writer := _writers.pop(run.folder, None):
        writer.close()


def _tag(name: str) -> str:
    """Return the tag of a number of a training step; cosines are not among the losses."""
    from gvt.loop import Figure

    return name if Figure.of_training(name).kind == "cosine" else f"train/{name}"


def _is_installed() -> bool:
    # A folder named tensorboard also has a spec, but without an origin.
    spec = find_spec("tensorboard")
    return spec is not None and spec.origin is not None
