"""Merge the heads of several checkpoints on the backbone that they share."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gvt import MultiHead, UsageError, save
from gvt.printable import printable
from gvt.runs import RunFolder
from gvt.session import PathLike
from gvt_multi.equal import check_same_backbone, check_same_settings
from gvt_multi.mix import Mix, check_renumbered, mix_of
from gvt_multi.source import CODE, Checkpoint, Source, sources_of

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
            `gvt.open` returns. `"NAME=PATH"` renames the head of a checkpoint; several heads get
            NAME_ as prefix. A mapping has the names as keys.
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
    mix = mix_of(sources)
    check_renumbered(mix, sources)
    task = _merged(sources, mix)
    if out is not None:
        save(task, out)
    return task


def _merged(sources: Sequence[Source], mix: Mix) -> MultiHead:
    named = {new: (s.task, old) for s in sources for old, new in s.heads.items()}
    heads: dict[str, Any] = {new: task.heads[old] for new, (task, old) in named.items()}
    weights = {new: task.weights[old] for new, (task, old) in named.items()}
    backbone = sources[0].task.backbone
    try:
        task = MultiHead(backbone, heads, weights, vocabularies=mix.vocabularies)
    except ValueError as error:  # a name that a head cannot have
        raise UsageError(str(error)) from error
    task.origin = _document(sources, mix, weights)
    task.eval()
    return task


def _document(sources: Sequence[Source], mix: Mix, weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the document of the merged task: that of the first checkpoint with all heads.

    The data is that of the checkpoints if it is the same.
    """
    first = sources[0].opened
    assert first.origin is not None  # it is a checkpoint
    document = copy.deepcopy(dict(first.origin))
    heads = {
        new: source.opened.config.heads[old].model_dump(mode="json")
        | {"learns_from": mix.learns_from.get(new)}
        for source in sources
        for old, new in source.heads.items()
    }
    same = {_data(source) == _data(sources[0]) for source in sources} == {True}
    for config in (document["config"], document["resolved"]):
        config["recipe"] = RECIPE
        config["task"] = {"name": "heads", "weights": dict(weights)}
        config["heads"] = copy.deepcopy(heads)
        config["init_from"] = None
        config["train"]["unfreeze"] = {"backbone": "never"}
        evaluate = config.get("evaluate", {})
        kept = ("split", "final", "batch_size") if same else ()
        config["evaluate"] = {key: evaluate[key] for key in kept if key in evaluate}
        if not same:
            config["data"] = {"name": CODE}
    document["recipe"], document["data"] = RECIPE, mix.info.document()
    return document


def _data(source: Source) -> tuple[Any, ...]:
    """Return the data set of a checkpoint in its configuration, without how it is loaded."""
    data = source.opened.config.data
    return data.name, data.parameters, data.range, source.opened.info.classes


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
