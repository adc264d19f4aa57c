"""Save tasks as checkpoints, and add heads to them by name."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

from gvt import (
    ConfigError,
    DataInfo,
    Dataset,
    Head,
    MultiHead,
    Placement,
    Task,
    UsageError,
    compose,
    create,
)
from gvt.config import (
    HeadConfig,
    section_of_made,
    signature_of,
    validate,
    with_defaults,
)
from gvt.session import (
    PathLike,
    document_of,
    offers_used,
    part_of,
    vocabulary_of,
    write_checkpoint,
)
from gvt_registry import default_registry

from .described import describe, undescribed
from .recipe import recipe_of


def add_head(
    task: MultiHead,
    name: str,
    component: str,
    /,
    *,
    weight: float = 1.0,
    learns_from: str | None = None,
    **parameters: Any,
) -> Head:
    """Add a head to a task by its name in the registry, and return it.

    The outputs of the other heads do not change. `gvt.save` saves the task. See also
    `gvt.MultiHead.add_head`, which takes the head itself.

    Args:
        task: The task.
        name: Name of the head in the task.
        component: Name of the head in the registry.
        weight: Factor of the head's losses.
        learns_from: Part of mixed data that the head learns from.
        parameters: Parameters of the head, such as `hidden=[64]`. Those that follow from the data,
            such as `num_classes`, are filled in if the task was loaded from a checkpoint.

    Raises:
        ValueError: If there is a head of that name already, or the name is not valid.
        UnknownComponent: If no plugin offers such a head.
        ConfigError: If a parameter is unknown, missing or of a wrong type, or the data has no such
            part.
    """
    section, config = f"heads.{name}", HeadConfig(name=component, learns_from=learns_from)
    if task.origin is None and learns_from is not None:
        raise ConfigError(
            f"{section}: a task built in code has no parts of data; build the head, and add it "
            "with MultiHead.add_head and its vocabulary"
        )
    info, vocabulary = None, None
    if task.origin is not None:
        info = DataInfo.from_document(task.origin["data"])
        declared, _ = signature_of(default_registry().find("head", component).load())
        of_part = part_of(section, config, info).injected_classes
        parameters = {n: v for n, v in of_part.items() if n in declared} | parameters
        vocabulary = vocabulary_of(config, info)
    head: Head = create("head", component, data=info, backbone=task.whole, **parameters)
    return task.add_head(name, head, weight=weight, vocabulary=vocabulary)


def save(task: Task, path: PathLike, *, data: DataInfo | Dataset | None = None) -> Path:
    """Save the weights of a task as a checkpoint, and return its path.

    `gvt.load`, `gvt predict`, `gvt eval` and `init_from` read it. It has no optimiser state, so a
    run cannot be resumed from it. The task of a run has the weights of the last step; a task
    returned by `gvt.load` has their moving averages, if the run had any.

    The parts of a task remember how `gvt.create` or a recipe built them, and the checkpoint
    describes them so. A part that was built in any other way is saved, too, with a warning:
    `gvt.load` then needs the task, built in code again.

    Args:
        task: The task.
        path: Path of the file.
        data: The data set, or the information about it, that a task was trained with which was
            built in code, and not trained by `gvt.fit`.

    Raises:
        UsageError: If `data` is required, or the file belongs to a run.
        NonFiniteError: If a weight is infinite or NaN.
        CheckpointError: If the file cannot be written.
    """
    return write_checkpoint(task, Path(path), _document(task, data))


def _document(task: Task, data: DataInfo | Dataset | None) -> dict[str, Any]:
    """Return the document of a checkpoint of a task.

    Raises:
        UsageError: If the data is not known.
    """
    if data is None and task.origin is None:
        raise UsageError(
            f"a {type(task).__name__} built in code does not know its data, which a checkpoint "
            "describes; give data=..., the training data"
        )
    if data is not None:
        info = data if isinstance(data, DataInfo) else DataInfo.of(data)
        recipe, notes = recipe_of(task, info, section_of_made(data), {}, {"steps": 1})
        for note in notes:
            warnings.warn(note, stacklevel=3)
        return document_of(with_defaults(compose(recipe)), info, Placement.resolve("cpu"))
    document = copy.deepcopy(dict(task.origin or {}))
    parts, reasons = describe(task, DataInfo.from_document(document["data"]))
    for place, reason in reasons.items():
        warnings.warn(undescribed(place, reason), stacklevel=3)
    for section in ("resolved", "config"):
        sections = {**document[section], **parts}
        recorded = validate(sections, "the task's recipe", keep=sections)
        config = with_defaults(recorded)
        document[section] = config.document()
    document["components"] = {n: offer.origin for n, offer in offers_used(config).items()}
    return document
