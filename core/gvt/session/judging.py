"""Evaluate a checkpoint as its run did, and write the result into the folder it belongs to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt.checkpoint.training import LAST
from gvt.config import RunConfig
from gvt.data_info import DataInfo
from gvt.device.placement import deterministic_algorithms, explained_memory, keep_freed_memory
from gvt.errors import ConfigError, RunInUseError, UsageError
from gvt.interfaces import Dataset
from gvt.loop.evaluation import Evaluation, evaluate
from gvt.runs.evaluations import save_evaluation
from gvt.runs.folder import RunFolder
from gvt.runs.writer import sole_writer
from gvt.session.build import check_split, open_dataset
from gvt.session.changeable import OWN_EVALUATION
from gvt.session.finding import PathLike
from gvt.session.opened import Opened, open_checkpoint
from gvt_registry import default_registry


def evaluate_checkpoint(
    checkpoint: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    averaged: bool = True,
    out: PathLike | None = None,
) -> Evaluation:
    """Evaluate a checkpoint as its run did, with the same metrics to the last digit.

    An evaluation of the last checkpoint of a run is also written into its `evaluation/` and report,
    unless it differs from the run's own: by `averaged=False`, or by an override of anything but
    `device`, `data.root` and `evaluate.batch_size`. If a file cannot be written, a warning is
    given.

    Args:
        checkpoint: Path of the file, or of a run folder, for its last checkpoint; the latest run
            by default.
        overrides: Overrides such as `data.root=...`, `evaluate.batch_size=100` or `device=cpu`.
        split: Split to evaluate; by default `evaluate.final` of the recipe, else
            `evaluate.split`.
        averaged: Whether to use the moving average of the weights, if there is one.
        out: Folder to write the metrics and plots to, instead of the run folder.

    Raises:
        UsageError: If there is nothing to evaluate, the split is unknown, or an override would
            change the model or its training.
        RunInUseError: If another process writes to the run folder.
        ConfigError: If the data has other classes than the model was trained for, or the task
            cannot be evaluated.
        CheckpointError: If the file is damaged.
        DataError: If the data is absent or unreadable.
    """
    judged = judge(checkpoint, *overrides, split=split, averaged=averaged, out=out)
    judged.save()
    return judged.evaluation


@dataclass(frozen=True)
class Judged:
    """An evaluation of a checkpoint, and the folder it belongs to.

    Attributes:
        evaluation: The evaluation.
        split: Name of the split.
        step: Step of the checkpoint; None for predictions from a file.
        about: Further circumstances of the evaluation: checkpoint, average, precision, overrides.
        run: The run that the checkpoint belongs to, if any.
        apart: The reason why it is not the run's own evaluation; empty if it is.
        out: The requested folder, if any.
    """

    evaluation: Evaluation
    split: str
    step: int | None
    about: Mapping[str, Any]
    run: RunFolder | None
    apart: str
    out: Path | None

    @property
    def target(self) -> Path | None:
        """The folder that it is written to, if any."""
        if self.out is None and self.run is not None and not self.apart:
            return self.run.evaluations
        return self.out

    def save(self) -> list[Path]:
        """Write the evaluation into its folder, and call the plugins' hooks.

        If a file cannot be written, a warning is given, since the evaluation may have taken hours.

        Returns:
            The files that were written.
        """
        if self.target is None:
            return []
        if self.run is None or self.out is not None:
            return self._write(self.target, None)
        self.run.check_links(self.run.evaluations)
        try:
            with sole_writer(self.run.path, "evaluated"):
                return self._write(self.target, self.run.path)
        except RunInUseError as error:
            warnings.warn(f"{self.target}: not written: {error}", stacklevel=2)
            return []

    def _write(self, folder: Path, run_folder: Path | None) -> list[Path]:
        result: dict[str, Any] = {
            "split": self.split,
            "step": self.step,
            "evaluation": self.evaluation,
        }
        paths = save_evaluation(folder, **result, about=self.about)
        answers = default_registry().plugins.call(
            "gvt_checkpoint_evaluated", folder=folder, run_folder=run_folder, **result
        )
        for plugin, answer in answers:
            if isinstance(answer, BaseException):
                warnings.warn(f"plugin {plugin.name!r}: {plugin.warnings[-1]}", stacklevel=4)
        return paths


def judge(
    checkpoint: PathLike | None = None,
    *overrides: str,
    split: str | None = None,
    averaged: bool = True,
    out: PathLike | None = None,
) -> Judged:
    """Evaluate a checkpoint as `evaluate_checkpoint` does, without writing anything."""
    opened = open_checkpoint(checkpoint, *overrides, averaged=averaged)
    assert opened.checkpoint is not None and opened.origin is not None
    split = split_of(opened.config, split)
    apart = _apart(opened.run, opened.checkpoint, overrides, averaged)
    if opened.run is not None and out is None and not apart:
        with sole_writer(opened.run.path, "evaluated"):
            pass  # if the run is in use, the error comes before hours of evaluation
    about = {
        "checkpoint": opened.checkpoint.name,
        "averaged": opened.is_averaged,
        "precision": opened.placement.precision,
        "overrides": list(overrides),
    }
    step, to = opened.origin["training"]["step"], None if out is None else Path(out)
    return Judged(_evaluated(opened, split), split, step, about, opened.run, apart, to)


def split_of(config: RunConfig, split: str | None) -> str:
    """Return the split to evaluate: the requested one, or that of the recipe.

    Raises:
        UsageError: If neither is given.
        ConfigError: If the data has no such split.
    """
    split = split or config.evaluate.final or config.evaluate.split
    if split is None:
        raise UsageError(f"{config.recipe} evaluates no split of its own; name one: --split test")
    check_split("--split (split=... in Python)", config, split)
    return split


def check_classes(dataset: Dataset, trained: Sequence[str]) -> None:
    """Check that data has the classes that a model was trained for.

    Raises:
        ConfigError: If it has others.
    """
    classes = DataInfo.of(dataset).classes
    if classes != tuple(trained):
        raise ConfigError(
            f"data: its classes are {', '.join(classes) or 'none'}, but the networks were trained "
            f"for {', '.join(trained) or 'none'}"
        )


def _apart(run: RunFolder | None, path: Path, overrides: Sequence[str], averaged: bool) -> str:
    """Return how an evaluation differs from the run's own; empty if it does not."""
    if run is None:
        return f"{path} does not belong to a run"
    if path.name != LAST:
        return f"{path.name} is not the run's last checkpoint"
    if not averaged:
        return "the run's own is not of the raw weights"
    paths = [override.partition("=")[0].strip() for override in overrides]
    others = [p for p in paths if p not in OWN_EVALUATION]
    return f"the run's own has no override of {', '.join(others)}" if others else ""


def _evaluated(opened: Opened, split: str) -> Evaluation:
    from gvt.data.loading import HeldOut, resolved

    config, placement, classes = opened.config, opened.placement, opened.info.classes
    batch_size = config.evaluate.batch_size or config.data.batch_size
    dataset = open_dataset(config, split, opened.info.reader)
    check_classes(dataset, classes)
    with (
        explained_memory(placement, batch_size, 1),
        placement.autocast(),
        deterministic_algorithms(config.train.deterministic),
    ):
        keep_freed_memory(placement.device)
        task = opened.task
        held_out = HeldOut(dataset, resolved(dataset, config.data, placement), placement)
        try:
            seed, batches = config.train.seed, held_out.batches(batch_size)
            return evaluate(task, batches, classes=classes, seed=seed, split=split)
        except NotImplementedError as error:
            raise ConfigError(f"{config.recipe}: {error}, so it cannot be evaluated") from error
