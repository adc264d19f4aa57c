"""Merge the heads of several checkpoints on the backbone that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gvt import EvaluateConfig, MultiHead, Placement, RunConfig, UsageError
from gvt.config import CODE, ComponentConfig
from gvt.printable import printable
from gvt.runs import RunFolder
from gvt.session import PathLike, document_of, write_checkpoint
from gvt_multi.equal import check_same_backbone, check_same_settings, warn_of_other_sections
from gvt_multi.mix import Mix, check_renumbered, mix_of
from gvt_multi.source import Checkpoint, Source, sources_of

RECIPE = "merged"
"""Name of the recipe of a merged task."""


def merge(
    checkpoints: Sequence[Checkpoint] | Mapping[str, Checkpoint],
    out: PathLike | None = None,
    *,
    averaged: bool = True,
) -> MultiHead:
    """Merge the heads of several checkpoints on one backbone, and return the task in eval mode.

    The backbones have to be equal, bitwise: the heads were trained with `init_from` of one
    checkpoint and a frozen backbone (`train.unfreeze={backbone: never}`). Then each head predicts
    bitwise what it predicted alone, and one pass of the backbone serves all.

    If the checkpoints have different classes, those of the merged task are all of them, and classes
    with the same name are the same class. Each head predicts its own classes, with their numbers
    among all.

    Args:
        checkpoints: Paths of checkpoints or of run folders, for their last checkpoints, or what
            `gvt.open` returns, which a head that was built in code requires. `"NAME=PATH"` renames
            the head of a checkpoint; several heads get NAME_ as prefix. A mapping has the names as
            keys.
        out: Path of a checkpoint to save the task to.
        averaged: Whether to use the moving averages of the weights, where there are some.

    Raises:
        UsageError: If there are not two different checkpoints; the task of one is not `heads`;
            backbones, their settings, or the form of the images differ; two heads have one name; or
            `out` is one of the checkpoints, or in a run folder.
        CheckpointError: If a checkpoint is missing or damaged, or the file cannot be written.
    """
    sources = sources_of(checkpoints, averaged=averaged)
    if out is not None:
        _check_output(Path(out), sources)
    first, *others = sources
    for other in others:
        check_same_settings(first, other)
    for other in others:
        check_same_backbone(first, other)
        warn_of_other_sections(first, other)
    mix = mix_of(sources)
    check_renumbered(mix, sources)
    task = _merged(sources, mix)
    if out is not None:
        write_checkpoint(task, Path(out), dict(task.origin or {}))
    return task


def _merged(sources: Sequence[Source], mix: Mix) -> MultiHead:
    named = {new: (s.task, old) for s in sources for old, new in s.heads.items()}
    heads: dict[str, Any] = {new: task.heads[old] for new, (task, old) in named.items()}
    weights = {new: task.weights[old] for new, (task, old) in named.items()}
    first, words = sources[0].task, mix.vocabularies
    try:
        task = MultiHead(first.whole, heads, weights, vocabularies=words, share=first.share)
    except ValueError as error:  # a name that a head cannot have
        raise UsageError(str(error)) from error
    for new, (of_head, old) in named.items():
        task.branches[new] = of_head.branches[old]
    config = _config(sources, mix, weights)
    train = config.train
    placement = Placement.resolve("cpu", train.precision, train.memory_format, train.compile)
    task.origin = document_of(config, mix.info, placement)
    task.eval()
    return task


def _config(sources: Sequence[Source], mix: Mix, weights: Mapping[str, float]) -> RunConfig:
    """Return the configuration: that of the first checkpoint, with all heads and their data."""
    first = sources[0].opened.config
    heads = {
        new: source.opened.config.heads[old].model_copy(
            update={"learns_from": mix.learns_from.get(new)}
        )
        for source in sources
        for old, new in source.heads.items()
    }
    further = {name: weight for name, weight in weights.items() if weight != 1}
    of_task = {"weights": further or None, "share": sources[0].task.share}
    update: dict[str, Any] = {
        "recipe": RECIPE,
        "task": ComponentConfig(name="heads", **of_task),
        "data": mix.data,
        "heads": heads,
        "train": first.train.model_copy(update={"unfreeze": {"backbone": "never"}}),
        "init_from": None,
    }
    if mix.data.name == CODE:
        update["evaluate"] = EvaluateConfig()
    else:
        kept = {name: getattr(first.evaluate, name) for name in ("split", "final", "batch_size")}
        update["evaluate"] = EvaluateConfig(**kept)
    return first.model_copy(update=update)


def _check_output(out: Path, sources: Sequence[Source]) -> None:
    for source in sources:
        if out.exists() and out.samefile(source.opened.checkpoint or ""):
            raise UsageError(f"{printable(out)} is one of the checkpoints to merge")
    for folder in map(RunFolder, out.resolve().parents):
        if folder.config.is_file() and folder.checkpoints.is_dir():
            raise UsageError(
                f"{printable(out)} is inside of the run folder {printable(folder.path)}; choose a "
                "path outside of it"
            )
