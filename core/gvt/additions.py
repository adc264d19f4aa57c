"""Heads added to a trained task, and a checkpoint of the result."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gvt.build import create, offers_used
from gvt.checkpoint import file as checkpoint_file
from gvt.config.compose import validate
from gvt.config.injected import FACTS
from gvt.config.parameters import signature_of
from gvt.errors import UsageError
from gvt.facts import DataFacts
from gvt.interfaces import Head, Task
from gvt.multihead import MultiHead
from gvt.saved import PathLike
from gvt_registry import default_registry


def described_head(
    task: MultiHead, name: str, parameters: Mapping[str, Any]
) -> tuple[Head, Mapping[str, Any]]:
    """Build a head for a task, and return with it what a recipe would say of it.

    Of a head that a recipe could not say, such as one for other classes than the data's, nothing.

    Args:
        task: What it is for; what its checkpoint knows of the data is filled in.
        name: In the registry.
        parameters: Of the head.
    """
    declared, _ = signature_of(default_registry().find("head", name).load())
    facts: dict[str, Any] = {"feature_info": task.backbone.feature_info}
    if task.origin is not None:
        facts |= DataFacts.from_document(task.origin["data"]).injected
    filled_in = {n: v for n, v in facts.items() if n in declared and n not in parameters}
    head: Head = create("head", name, **filled_in, **parameters)
    if any(n in FACTS and v != facts.get(n) for n, v in parameters.items()):
        return head, {}
    described = {"name": name, **{n: v for n, v in parameters.items() if n not in FACTS}}
    try:
        plain: Mapping[str, Any] = json.loads(json.dumps(described, allow_nan=False))
    except (TypeError, ValueError):
        return head, {}
    return head, plain


def save(task: Task, path: PathLike) -> Path:
    """Write a task's networks as they are now into a checkpoint, and return its path.

    `gvt.load`, `gvt predict`, `gvt eval` and `init_from` take it. It has no optimisers' state, so
    that no run goes on from it.

    Args:
        task: One that was loaded from a checkpoint, or run from a recipe; heads may have been
            added to it or removed.
        path: The file.

    Raises:
        UsageError: If nobody knows a recipe for it: it was put together in code, or one of its
            heads was.
        CheckpointError: If it cannot be written.
    """
    if task.origin is None:
        raise UsageError(
            f"a {type(task).__name__} put together in code has no recipe, and a checkpoint says "
            "by its recipe what it is; save its state_dict(), or run a recipe"
        )
    changes = task.changes if isinstance(task, MultiHead) else {}
    document = copy.deepcopy(dict(task.origin))
    for section in ("config", "resolved"):
        for name, said in changes.items():
            _change(document[section], name, said)
    if isinstance(task, MultiHead):
        for section in ("config", "resolved"):
            _weigh(document[section], task)
    config = validate(document["config"], "the task's recipe")
    document["components"] = {n: offer.origin for n, offer in offers_used(config).items()}
    training = document.get("training", {"step": 0, "epoch": 0, "position": 0, "best": None})
    document["training"] = {**training, "metrics": {}, "optimizer_values": {}, "scalers": {}}
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint_file.save(target, {f"task/{n}": t for n, t in task.state_dict().items()}, document)
    return target


def _change(config: dict[str, Any], name: str, said: Mapping[str, Any] | None) -> None:
    """Write into a configuration what is said of a head, or that there is none.

    Raises:
        UsageError: If nobody could say it.
    """
    if said is None:
        config["heads"].pop(name, None)
    elif said:
        config["heads"][name] = dict(said)
    else:
        raise UsageError(
            f"head {name} was handed over as an object, or for other classes than the data's, and "
            "a checkpoint says by a recipe what it is: add it by its name in the registry, or "
            "remove it"
        )


def _weigh(config: dict[str, Any], task: MultiHead) -> None:
    """Write the factors of the heads' losses into a configuration, where they are not 1."""
    weights = {name: weight for name, weight in task.weights.items() if weight != 1}
    config["task"].pop("weights", None)
    if weights:
        config["task"]["weights"] = weights
