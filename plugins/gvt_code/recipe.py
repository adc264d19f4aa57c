"""The recipe of a task that was built in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gvt import DataInfo, Task, UsageError
from gvt.config import NETWORKS, DataConfig
from gvt_registry import nearest

from .described import describe, undescribed


def recipe_of(
    task: Task,
    info: DataInfo,
    data: Mapping[str, Any],
    sections: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Return the recipe of a task that was built in code, and lines about parts without one.

    Args:
        task: The task.
        info: The information about the training data.
        data: The data set as in a recipe.
        sections: Further sections as plain data.
        settings: The values of `steps`, `epochs`, `batch_size` and `lr`, or None.

    Raises:
        UsageError: If the task is not a `gvt.Task`.
    """
    if not isinstance(task, Task):
        raise UsageError(f"the task is a {type(task).__name__}, which is not a gvt.Task")
    parts, reasons = describe(task, info)
    values = {name: value for name, value in settings.items() if value is not None}
    rate = {"lr": values.pop("lr")} if "lr" in values else {}
    batch = {"batch_size": values.pop("batch_size")} if "batch_size" in values else {}
    default = {phase.optimizer_key: {"name": "AdamW"} for phase in task.phases}
    optimizers = sections.get("optimizers", default)
    frozen = {n: "never" for n, p in task.named_parameters() if not p.requires_grad}
    train = {**sections.get("train", {}), **values}
    if frozen:
        train["unfreeze"] = {**train.get("unfreeze", {}), **frozen}
    recipe = {
        "recipe": "fit",
        **sections,
        **parts,
        "data": {**sections.get("data", {}), **data, **batch},
        "optimizers": {key: {**of_key, **rate} for key, of_key in optimizers.items()},
        "train": train,
    }
    return recipe, [undescribed(place, reason) for place, reason in reasons.items()]


def check_settings(sections: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Check that no setting of a run is one of the task or of the data, which were built in code.

    Args:
        sections: Sections of a recipe as plain data.
        overrides: Overrides `dotted.path=value`.

    Raises:
        UsageError: If one is, or a section is not a mapping.
    """
    optimizers = sections.get("optimizers", {})
    mappings = {name: sections[name] for name in ("data", "train", "evaluate") if name in sections}
    mappings["optimizers"] = optimizers
    if isinstance(optimizers, Mapping):
        mappings |= {f"optimizers.{key}": of_key for key, of_key in optimizers.items()}
    for name, section in mappings.items():
        if not isinstance(section, Mapping):
            raise UsageError(f"{name}: should be a mapping, not {section!r}")
    names = [override.partition("=")[0].strip() for override in overrides]
    loading = [name for name in DataConfig.model_fields if name != "name"]
    for path in [*sections, *(f"data.{key}" for key in sections.get("data", {})), *names]:
        section, _, key = path.partition(".")
        if section in ("task", "heads", "networks", *NETWORKS):
            raise UsageError(f"{section}: is that of the task; build the task with it")
        if section == "data" and key and key.partition(".")[0] not in loading:
            hint = nearest(key, loading)
            raise UsageError(f"{path}: is that of the data; build the data set with it{hint}")
    if "data.range" in names:
        raise UsageError("data.range: the task is built for it; give data={'range': ...}")
