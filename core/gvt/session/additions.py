"""Add heads to a trained task, and save the task as a checkpoint."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gvt.checkpoint import file as checkpoint_file
from gvt.config.compose import validate
from gvt.config.injected import FACTS
from gvt.config.parameters import signature_of
from gvt.config.recorded import with_defaults
from gvt.config.schema import HeadConfig
from gvt.data_info import DataInfo
from gvt.errors import CheckpointError, ConfigError, UsageError
from gvt.files import make_folder
from gvt.finite import infinite_places, infinite_weights, raise_earliest
from gvt.heads.multihead import MultiHead
from gvt.interfaces import Head
from gvt.session.build import create, offers_used, part_of, vocabulary_of
from gvt.session.finding import PathLike, run_of
from gvt.task import Task
from gvt_registry import default_registry

_STATISTICS = ("running_mean", "running_var")
"""Names of the statistics of torch's normalisation layers."""


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
    declared, _ = signature_of(default_registry().find("head", component).load())
    facts: dict[str, Any] = {"feature_info": task.backbone.feature_info}
    vocabulary = None
    if task.origin is not None:
        info = DataInfo.from_document(task.origin["data"])
        facts |= info.injected | part_of(section, config, info).injected_classes
        vocabulary = vocabulary_of(config, info)
    elif learns_from is not None:
        raise ConfigError(
            f"{section}: a task built in code has no parts of data; build the head, and add it "
            "with MultiHead.add_head and its vocabulary"
        )
    filled_in = {n: v for n, v in facts.items() if n in declared and n not in parameters}
    head: Head = create("head", component, **filled_in, **parameters)
    task.add_head(name, head, weight=weight, vocabulary=vocabulary)
    if all(v == facts.get(n) for n, v in parameters.items() if n in FACTS):
        task.changes[name] = _section_of(config, parameters)
    return head


def _section_of(config: HeadConfig, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section of a head in a recipe; empty if a parameter is not plain data."""
    section = {"name": config.name, **{n: v for n, v in parameters.items() if n not in FACTS}}
    if config.learns_from is not None:
        section["learns_from"] = config.learns_from
    try:
        return dict(json.loads(json.dumps(section, allow_nan=False)))
    except (TypeError, ValueError):
        return {}


def save(task: Task, path: PathLike) -> Path:
    """Save the weights of a task as a checkpoint, and return its path.

    `gvt.load`, `gvt predict`, `gvt eval` and `init_from` read it. It has no optimiser state, so a
    run cannot be resumed from it. The task of a run has the weights of the last step; a task
    returned by `gvt.load` has their moving averages, if the run had any.

    Args:
        task: A task loaded from a checkpoint, or trained from a recipe; heads may have been added
            or removed.
        path: Path of the file.

    Raises:
        UsageError: If the task has no recipe because it, or one of its heads, was built in code;
            or if the file belongs to a run.
        NonFiniteError: If a weight is infinite or NaN.
        CheckpointError: If the file cannot be written.
    """
    if task.origin is None:
        raise UsageError(
            f"a {type(task).__name__} built in code has no recipe, which a checkpoint needs; save "
            "its state_dict(), or run a recipe"
        )
    document = copy.deepcopy(dict(task.origin))
    for section in ("resolved", "config"):
        if isinstance(task, MultiHead):
            _write_heads(document[section], task)
        recorded = validate(document[section], "the task's recipe", keep=document[section])
        config = with_defaults(recorded)
        document[section] = config.document()
    document["components"] = {n: offer.origin for n, offer in offers_used(config).items()}
    training = document.get("training", {"step": 0, "epoch": 0, "position": 0, "best": None})
    document["training"] = {**training, "metrics": {}, "optimizer_values": {}, "scalers": {}}
    target = Path(path)
    if run_of(target) is not None:
        raise UsageError(
            f"{target} is in the checkpoints folder of a run; choose a path outside of it"
        )
    tensors = {f"task/{n}": t for n, t in task.state_dict().items()}
    # Buffers may be infinite by design; statistics of normalisation layers may not.
    places = infinite_places(task).items()
    constant = {f"task/{n}": mask for n, mask in places if not n.endswith(_STATISTICS)}
    raise_earliest([infinite_weights(training["step"], tensors, constant)])
    try:
        make_folder(target.parent)
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be written: {error.strerror}") from error
    checkpoint_file.save(target, tensors, document)
    return target


def _write_heads(config: dict[str, Any], task: MultiHead) -> None:
    """Write the added and removed heads of a task, and weights other than 1, into a config.

    Raises:
        UsageError: If an added head has no recipe.
    """
    for name, head in task.changes.items():
        if head is None:
            config["heads"].pop(name, None)
        elif head:
            config["heads"][name] = dict(head)
        else:
            raise UsageError(
                f"head {name} was added as an object, or for other classes than those of the data, "
                "so it has no recipe: add it by its name in the registry, or remove it"
            )
    config["task"].pop("weights", None)
    if weights := {name: weight for name, weight in task.weights.items() if weight != 1}:
        config["task"]["weights"] = weights
