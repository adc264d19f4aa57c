"""The recipe of a task that was built in code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gvt import DataInfo, Task, UsageError

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
        UsageError: If a section belongs to the task.
    """
    parts, reasons = describe(task, info)
    if taken := sorted(parts.keys() & sections.keys()):
        raise UsageError(f"{taken[0]}: is that of the task; build the task with it")
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
