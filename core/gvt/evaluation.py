"""Metrics and losses over held-out data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gvt.batch import Batch
from gvt.distributed import World
from gvt.geometry import to_original
from gvt.interfaces import Task


def evaluate(task: Task, batches: Iterable[Batch], world: World | None = None) -> dict[str, float]:
    """Return the metrics of a task and, as `loss/...`, its mean losses.

    Predictions are compared with the truth in pixels of the original images. A loss is the mean
    over the samples that had it.
    """
    world = world or World()
    metric = task.metric()
    if metric is not None:  # also in a process that gets no batch, for the others wait for it
        metric.to(next(task.parameters()).device)
    totals: dict[str, float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    with evaluating(task):
        for batch in batches:
            predictions, losses = task.evaluate(batch)
            if metric is not None and batch.targets is not None:
                truth = to_original(batch.targets.per_image(len(batch)), batch.records)
                metric.update(to_original(predictions, batch.records), truth)
            for name, (loss, count) in losses.items():
                totals[name] += float(loss) * count
                counts[name] += count
    totals, counts = world.add(totals), world.add(counts)
    found = {} if metric is None else as_floats(metric.compute())
    return {**found, **{f"loss/{name}": totals[name] / counts[name] for name in totals}}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode without gradients, and each submodule back into its own."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for submodule, mode in modes:
            submodule.training = mode


def as_floats(value: Any, name: str = "") -> dict[str, float]:
    """Return what a metric computed as numbers by name; a vector becomes `name/0`, `name/1`..."""
    if isinstance(value, Mapping):
        return {k: v for n, part in value.items() for k, v in as_floats(part, n).items()}
    if isinstance(value, Tensor) and value.numel() != 1:
        return {f"{name}/{i}": float(v) for i, v in enumerate(value.flatten())}
    return {name or "metric": float(value)}
