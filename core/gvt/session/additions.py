"""Heads added to a trained task, and a checkpoint of the result."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gvt.atomic import make_folder
from gvt.checkpoint import file as checkpoint_file
from gvt.config.compose import validate
from gvt.config.injected import FACTS
from gvt.config.parameters import signature_of
from gvt.config.recorded import with_defaults
from gvt.config.schema import HeadConfig
from gvt.errors import CheckpointError, ConfigError, UsageError
from gvt.heads.multihead import MultiHead
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Head, Task
from gvt.loop.losses import check_weights, infinite_places
from gvt.session.build import create, offers_used, part_of, vocabulary_of
from gvt.session.facts import DataFacts
from gvt.session.finding import PathLike, run_of
from gvt_registry import default_registry

_STATISTICS = ("running_mean", "running_var")
"""What torch's norms call their statistics."""


@dataclass(frozen=True)
class Described:
    """A head that was built by its name.

    Attributes:
        head: The head.
        recipe: What a recipe would say of it; nothing of one that it could not say, such as a head
            for other classes than the data's.
        vocabulary: Its classes, where it learns from one part of mixed data.
    """

    head: Head
    recipe: Mapping[str, Any]
    vocabulary: Vocabulary | None = None


def described_head(
    task: MultiHead, section: str, name: str, learns_from: str | None, parameters: Mapping[str, Any]
) -> Described:
    """Build a head for a task.

    Args:
        task: What it is for; what its checkpoint knows of the data is filled in.
        section: What an error begins with.
        name: In the registry.
        learns_from: The part of mixed data that it learns from.
        parameters: Of the head.

    Raises:
        ConfigError: If a parameter does not fit, or it cannot learn from that part.
    """
    declared, _ = signature_of(default_registry().find("head", name).load())
    config = HeadConfig(name=name, learns_from=learns_from)
    facts: dict[str, Any] = {"feature_info": task.backbone.feature_info}
    vocabulary = None
    if task.origin is not None:
        known = DataFacts.from_document(task.origin["data"])
        part = part_of(section, config, known)
        facts |= known.injected | (part.injected if part else {})
        vocabulary = vocabulary_of(config, known)
    elif learns_from is not None:
        raise ConfigError(
            f"{section}: a task put together in code knows no parts of its data; hand the head "
            "over as an object, with a vocabulary of the task's"
        )
    filled_in = {n: v for n, v in facts.items() if n in declared and n not in parameters}
    head: Head = create("head", name, **filled_in, **parameters)
    if any(n in FACTS and v != facts.get(n) for n, v in parameters.items()):
        return Described(head, {}, vocabulary)
    described = {"name": name, **{n: v for n, v in parameters.items() if n not in FACTS}}
    if learns_from is not None:
        described["learns_from"] = learns_from
    try:
        plain: Mapping[str, Any] = json.loads(json.dumps(described, allow_nan=False))
    except (TypeError, ValueError):
        plain = {}
    return Described(head, plain, vocabulary)


def save(task: Task, path: PathLike) -> Path:
    """Write a task's networks as they are now into a checkpoint, and return its path.

    `gvt.load`, `gvt predict`, `gvt eval` and `init_from` take it. It has no optimisers' state, so
    that no run goes on from it. Of a run's own task these are the weights of its last step, and of
    what `gvt.load` returned their averages, where the run had any.

    Args:
        task: One that was loaded from a checkpoint, or run from a recipe; heads may have been
            added to it or removed.
        path: The file.

    Raises:
        UsageError: If nobody knows a recipe for it: it was put together in code, or one of its
            heads was; or the file is a run's own.
        NonFiniteError: If a weight is infinite or NaN.
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
    for section in ("config", "resolved"):
        recorded = validate(document[section], "the task's recipe", keep=document[section])
        complete = with_defaults(recorded)
        document[section] = complete.document()
    config = validate(document["config"], "the task's recipe", keep=document["config"])
    document["components"] = {n: offer.origin for n, offer in offers_used(config).items()}
    training = document.get("training", {"step": 0, "epoch": 0, "position": 0, "best": None})
    document["training"] = {**training, "metrics": {}, "optimizer_values": {}, "scalers": {}}
    target = Path(path)
    if run_of(target) is not None:
        raise UsageError(
            f"{target} is among the checkpoints of a run, which goes on from them; name another "
            "place"
        )
    tensors = {f"task/{n}": t for n, t in task.state_dict().items()}
    # What its buffers were when it was built is not known here; statistics of a norm are finite.
    places = infinite_places(task).items()
    constant = {f"task/{n}": of for n, of in places if not n.endswith(_STATISTICS)}
    check_weights(training["step"], tensors, constant)
    try:
        make_folder(target.parent)
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be written: {error.strerror}") from error
    checkpoint_file.save(target, tensors, document)
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
