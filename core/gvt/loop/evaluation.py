"""Metrics and losses over held-out data, and the samples with the worst predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from gvt.batch import Batch, Record
from gvt.device.processes import World
from gvt.device.sharding import sharded_modules
from gvt.geometry import is_spatial, scores_of_pixels, to_canvas, to_original
from gvt.interfaces import Curves, Prediction
from gvt.loop.figures import Figure
from gvt.loop.losses import check_single
from gvt.predictions import by_head, short_name
from gvt.seeding import derive, seeded
from gvt.task import Step, Task

BACKGROUND = "background"
"""The name of pixels that are of no class."""

WORST = 36
"""Samples kept for a sheet of mistakes."""

SURE = 0.5
"""Boxes with a lower score are not kept for it: a detector has many, and they hide the rest."""

_OF_BOXES = frozenset({"boxes", "labels", "scores", "masks"})
_OF_PIXELS = frozenset({"semantic", "masks"})


@dataclass(frozen=True)
class Mistake:
    """A sample with a wrong prediction of one head.

    Attributes:
        error: How wrong the prediction is, by the head's own measure.
        inputs: Inputs of the model by field, on the CPU; an image is without padding.
        prediction: The head's prediction, in pixels of the image; of boxes those that are sure
            enough.
        target: The targets, likewise.
        source: Where the sample came from.
    """

    error: float
    inputs: dict[str, Any]
    prediction: Prediction
    target: dict[str, Any]
    source: str


@dataclass(frozen=True)
class Evaluation:
    """The results of a task on held-out data.

    Attributes:
        metrics: Metrics by name and, as `loss/...`, mean losses.
        tables: (K, K) tables over the classes by name, on the CPU; rows are the truth.
        curves: Curves of the classes by name, on the CPU.
        figures: What each metric measures, by its name; one that is not in it is a plain metric.
        mistakes: The worst samples of each head, the worst one first, by `mistakes` or
            `head/mistakes`; with several processes those of this one's share of the data.
        processes: Number of processes that shared the data.
        classes: Names of the classes.
    """

    metrics: dict[str, float]
    tables: dict[str, Tensor] = field(default_factory=dict)
    mistakes: dict[str, list[Mistake]] = field(default_factory=dict)
    processes: int = 1
    classes: tuple[str, ...] = ()
    curves: dict[str, Curves] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)

    def figure(self, name: str) -> Figure:
        """Return what a metric measures."""
        return self.figures.get(name, Figure())

    def named(self, split: str) -> dict[str, float]:
        """Return the metrics by the names that they have in a run, `<split>/<metric>`.

        Those of the training split are `train_eval/...`, since `train/...` are training losses.
        """
        group = "train_eval" if split == "train" else split
        return {f"{group}/{name}": value for name, value in self.metrics.items()}


def evaluate(
    task: Task,
    batches: Iterable[Batch],
    world: World | None = None,
    classes: Sequence[str] = (),
    results: Callable[[Record], Prediction] | None = None,
    *,
    seed: int = 0,
    split: str = "held out",
    spare: Batch | None = None,
) -> Evaluation:
    """Evaluate a task, or predictions from elsewhere by its metrics, on held-out data.

    Predictions are compared with the targets in pixels of the original images. A loss is the mean
    over the samples that had it.

    Args:
        task: The task, with its metrics.
        batches: The data.
        world: The processes that share it.
        classes: Names of the classes, for metrics that have a value for each.
        results: Returns the prediction for a record, in pixels of the original image, in place
            of the task's.
        seed: Seed of the random numbers of the evaluation, which depend on the split and the
            number of the batch, too.
        split: Name of the split.
        spare: If the task is sharded, a batch for a process that has fewer than the others. It is
            computed, since all processes have to call the networks, and not evaluated.
    """
    world = world or World()
    metric, device = task.metric(), next(task.parameters()).device
    if metric is not None:  # also in a process that gets no batch, for the others wait for it
        metric.to(device)
    totals: dict[str, float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    evaluation = Evaluation({}, processes=world.size, classes=tuple(classes))
    vote = None if spare is None else world.any
    pairs = zip(batches, repeat(True)) if spare is None else world.in_step(batches, spare)
    with evaluating(task):
        for number, (batch, is_own) in enumerate(pairs):
            losses: Mapping[str, tuple[Tensor, int]] = {}
            if results is None:
                place = world.rank + number * world.size
                step = Step(place, split=split, seed=seed, device=device, vote=vote)
                with seeded(derive(seed, "evaluate", split, step.index), device):
                    predictions, losses = task.evaluate(batch, step)
            else:
                original = [results(record) for record in batch.records]
                predictions = to_canvas(original, batch)
            if not is_own:
                continue
            if metric is not None and batch.targets is not None:
                targets = batch.targets.per_image(len(batch))
                for target, record in zip(targets, batch.records, strict=False):
                    target.update({} if record.part is None else {"part": record.part})
                if results is None:
                    original = to_original(predictions, batch.records)
                metric.update(original, _truth(targets, batch, getattr(metric, "needs", ())))
                _add_mistakes(evaluation.mistakes, task, batch, predictions, targets)
            for name, (loss, count) in losses.items():
                check_single(name, loss)
                totals[name] += float(loss) * count
                counts[name] += count
    totals, counts = world.add(totals), world.add(counts)
    if metric is not None:
        with world.together():  # torchmetrics gathers the counts of the processes
            _add_values(evaluation, metric.compute())
    means = {f"loss/{name}": totals[name] / counts[name] for name in totals}
    evaluation.metrics.update(means)
    evaluation.figures.update(dict.fromkeys(means, Figure("loss")))
    return evaluation


def _truth(
    targets: list[dict[str, Any]], batch: Batch, needs: Collection[str]
) -> list[dict[str, Any]]:
    """Return the truth in pixels of the original images, with the inputs that the metric needs.

    The truth is that of the data set (`Record.truth`), or the target mapped back.
    """
    rows = []
    is_mapped = any(map(is_spatial, targets))
    for row, target in enumerate(targets):
        truth = target
        if is_mapped:
            record, device = batch.records[row], batch.images.device
            original = {} if record.truth is None else record.truth()
            rest = {k: v for k, v in target.items() if k not in original}
            mapped = to_original([rest], [record])[0]
            truth = mapped | {k: v.to(device) for k, v in original.items()}
        rows.append(truth | _inputs(batch, row, needs))
    return rows


def _inputs(batch: Batch, row: int, keys: Collection[str]) -> dict[str, Any]:
    """Return inputs of a sample, an image without its padding."""
    values = {key: batch.inputs[key][row] for key in keys}
    if "image" in values:
        height, width = batch.frame.sizes[row]
        values["image"] = values["image"][:, :height, :width]
    return values


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
        for network in sharded_modules(module):
            network.reshard()  # or it keeps what it gathered while the weights change


def _add_mistakes(
    mistakes: dict[str, list[Mistake]],
    task: Task,
    batch: Batch,
    predictions: list[Prediction],
    targets: list[dict[str, Any]],
) -> None:
    """Add the worst samples of a batch to those of each head, and keep the worst of all."""
    parts = [by_head(prediction) for prediction in predictions]
    for head, errors in task.errors(predictions, targets).items():
        name = short_name(head, parts[0], "mistakes")
        worst = mistakes.get(name, [])
        least = worst[-1].error if len(worst) == WORST else 0.0
        # NaN counts as the largest error.
        on_cpu = errors.float().cpu().nan_to_num(nan=float("inf"))
        values, rows = on_cpu.topk(min(WORST, len(on_cpu)))
        more = [
            _mistake(batch, row, error, parts[row][head], targets[row])
            for error, row in zip(values.tolist(), rows.tolist(), strict=True)
            if error > least  # before anything is copied from the device
        ]
        mistakes[name] = sorted([*worst, *more], key=lambda mistake: -mistake.error)[:WORST]


def _mistake(
    batch: Batch, row: int, error: float, prediction: Prediction, target: dict[str, Any]
) -> Mistake:
    """Return a sample of a batch with its wrong prediction, copied to the CPU."""
    inputs = {k: _copied(v) for k, v in _inputs(batch, row, batch.inputs.keys()).items()}
    size = batch.frame.sizes[row] if batch.frame.sizes else (None, None)
    source = batch.records[row].source if batch.records else ""
    return Mistake(error, inputs, _kept(prediction, *size), _kept(target, *size), source)


def _kept(values: Mapping[str, Any], height: int | None, width: int | None) -> dict[str, Any]:
    """Return what a sheet shows of a prediction or a target, without the padding of the batch.

    Scores of pixels, larger than the image by the number of classes, are not shown.
    """
    kept = dict(values)
    if scores_of_pixels(values) is not None:
        del kept["scores"]
    if "boxes" in values and "scores" in values:
        sure = values["scores"] >= SURE
        kept |= {key: kept[key][sure] for key in _OF_BOXES & kept.keys()}
    kept |= {key: kept[key][..., :height, :width] for key in _OF_PIXELS & kept.keys()}
    return {key: _copied(value) for key, value in kept.items()}


def _copied(value: Any) -> Any:
    """Return a copy on the CPU, which does not hold the batch that it is a view of."""
    return value.detach().cpu().clone() if isinstance(value, Tensor) else value


def _add_values(evaluation: Evaluation, value: Any, name: str = "") -> None:
    """Add what a metric computed to an evaluation, by kind.

    A vector over the classes becomes `name/cat`, `name/dog`... and any other `name/0`, `name/1`...
    """
    classes = evaluation.classes
    if isinstance(value, Mapping):
        for key, part in value.items():
            _add_values(evaluation, part, key)
    elif isinstance(value, Curves):
        evaluation.curves[name] = replace(value, x=value.x.cpu(), y=value.y.cpu())
    elif isinstance(value, Tensor) and value.ndim == 2:
        evaluation.tables[name] = value.cpu()
    elif isinstance(value, Tensor) and (value.numel() != 1 or (value.ndim and len(classes) == 1)):
        count = value.numel()
        names: Sequence[object] = [*classes, BACKGROUND][:count]
        if len(set(names)) != count or count < len(classes):
            names = range(count)  # not over the classes, or a name stands for several
        for i, number in zip(names, value.flatten().tolist(), strict=True):
            evaluation.metrics[f"{name}/{i}"] = float(number)
            evaluation.figures[f"{name}/{i}"] = Figure("metric", str(i))
    else:
        evaluation.metrics[name or "metric"] = float(value)
