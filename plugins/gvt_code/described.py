"""Describe a task as the sections of a recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from gvt import DataInfo, MultiHead, Task, Weighting, create
from gvt.config import (
    CODE,
    NETWORKS,
    HeadConfig,
    built_for,
    made_of,
    same_facts,
    section_of_made,
    signature_of,
)
from gvt.session import vocabulary_of
from gvt_registry import default_registry


def describe(task: Task, info: DataInfo) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the sections of a recipe that build a task, and why some of them cannot.

    A part that no recipe describes has the name `CODE`. Attributes that were changed after a part
    was built are not described.

    Args:
        task: The task.
        info: The information about the training data.

    Returns:
        The sections `task`, `heads`, and those of the networks; and for each part that was built
        in code the reason why no recipe describes it, by its section.
    """
    parts = _parts(task)
    vocabularies = task.vocabularies if isinstance(task, MultiHead) else {}
    feature_info = getattr(parts.get("backbone"), "feature_info", None)
    reasons: dict[str, str] = {}
    sections: dict[str, Any] = {"heads": {}, "networks": {}}
    misplaced = _misplaced(task, parts)
    for place, part in {"task": task, **parts}.items():
        group, _, name = place.partition(".")
        section = _task_section(task) if part is task else section_of_made(part)
        facts = {**info.injected, "feature_info": feature_info}
        words = vocabularies.get(name)
        if words is not None and words.part in info.parts:
            facts |= info.parts[words.part].injected_classes
            learner = HeadConfig(name=section["name"], learns_from=words.part)
            if words != vocabulary_of(learner, info):
                misplaced[place] = "its vocabulary is not that of a part of the data"
        elif words is not None:
            misplaced[place] = f"the data has no part {words.part!r}, which its vocabulary names"
        section |= _other_facts(part, facts)
        if reason := misplaced.get(place) or _reason(place, part, section, facts):
            section, reasons[place] = {"name": CODE}, reason
        if words is not None:
            section["learns_from"] = words.part
        if name:
            sections[group][name] = section
        else:
            sections[group] = section
    return sections, reasons


def undescribed(place: str, reason: str) -> str:
    """Return what it means that no recipe describes a part, as one line."""
    return f"{place}: no recipe describes it, since {reason}; to load it, gvt.load needs task=..."


def _parts(task: Task) -> Mapping[str, nn.Module]:
    """Return the networks and heads of a task by their sections of a recipe."""
    if isinstance(task, MultiHead):
        heads = {f"heads.{name}": head for name, head in task.heads.items()}
        return {"backbone": task.whole, **heads}
    made = made_of(task)
    if made is not None:
        return made.parts
    return {n: part for n in NETWORKS if isinstance(part := getattr(task, n, None), nn.Module)}


def _misplaced(task: Task, parts: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return why some parts do not describe the task, even if each part is described."""
    reasons: dict[str, str] = {}
    owners: dict[int, str] = {}
    for place, part in parts.items():
        current = task.backbone if part is getattr(task, "whole", None) else part
        splits = isinstance(task, MultiHead) and task.share is not None
        if not splits and (current is not part or all(part is not m for m in task.modules())):
            reasons[place] = "another part has taken its place in the task"
        for tensor in part.state_dict(keep_vars=True).values():
            if (owner := owners.setdefault(id(tensor), place)) != place:
                reasons[place] = f"it shares weights with {owner}"
    modules = ("backbone", "heads", "branches", "weighting")
    names = task.state_dict() if type(task) is MultiHead else ()
    if further := [name for name in names if name.partition(".")[0] not in modules]:
        reasons["task"] = f"it has further weights, such as {further[0]}"
    return reasons


def _task_section(task: Task) -> dict[str, Any]:
    """Return the section of a task; the heads of a `MultiHead` may have changed."""
    section = section_of_made(task)
    if not isinstance(task, MultiHead):
        return section
    if type(task) is MultiHead and made_of(task) is None:
        weighting = section_of_made(task.weighting)
        if type(task.weighting) is Weighting:
            weighting = {"name": "fixed", "cosines_every": task.weighting.cosines_every}
        if weighting["name"] == CODE:
            return weighting
        section = {"name": "heads", "weighting": weighting}
        section |= {} if task.share is None else {"share": task.share}
    section.pop("weights", None)
    if weights := {name: weight for name, weight in task.weights.items() if weight != 1}:
        section["weights"] = weights
    return section


def _reason(
    place: str, part: nn.Module, section: Mapping[str, Any], facts: Mapping[str, Any]
) -> str:
    """Return why no recipe describes a part; empty if one does."""
    made = made_of(part)
    if section["name"] == CODE and made is None:
        what = "its weighting" if type(part) is MultiHead else "it"
        return f"neither gvt.create nor a recipe built {what}"
    if section["name"] == CODE:
        return "a parameter is not plain data"
    if made is None:
        return ""
    for name, value in made.facts.items():
        if name not in section and name in facts and not same_facts(value, facts[name]):
            return f"a component in it was built for another {name} than that of the data"
    if made.kind == "task":
        return ""
    values = {name: value for name, value in made.facts.items() if name in facts}
    with built_for(checkpoint=True), torch.random.fork_rng(devices=[]):
        again = create(made.kind, made.name, **made.parameters, **values)
    return "" if _layout(again) == _layout(part) else "it was changed after it had been built"


def _other_facts(part: nn.Module, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a part was built for, as plain data, if they are not those here."""
    made = made_of(part)
    if made is None or made.parameters is None:
        return {}
    declared, _ = signature_of(default_registry().find(made.kind, made.name).load())
    others = {
        name: value
        for name, value in made.facts.items()
        if name in declared and name in facts and not same_facts(value, facts[name])
    }
    return dict(json.loads(json.dumps(others)))


def _layout(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the shape and the first name of each tensor, and the class of each layer.

    The settings that a layer of torch prints, such as its stride, belong to its class.
    """
    first: dict[int, str] = {}
    tensors = module.state_dict(keep_vars=True).items()
    shapes = {name: (tensor.shape, first.setdefault(id(tensor), name)) for name, tensor in tensors}
    classes = {}
    for name, layer in module.named_modules():
        # A sharded layer has a class of torch.distributed, derived from that of the layer.
        bases = (of for of in type(layer).__mro__ if "torch.distributed" not in of.__module__)
        kind = next(bases)
        classes[name] = kind, layer.extra_repr() if kind.__module__.startswith("torch.nn.") else ""
    return shapes, classes
