"""Checks of declarations and outputs against the interfaces, for each kind of component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import torch
from torch import Tensor

from gvt import Batch, Phase, Shown
from gvt.loop import evaluating
from gvt.predictions import by_head
from gvt_author.testing.objects import detections_complaint, is_tensor
from gvt_author.testing.stand_ins import CLASSES
from gvt_author.testing.training import phases, predictions
from gvt_author.testing.trial import NotScalar, Trial, leaves, own_inputs

N = 4
"""Images of a batch."""


def complaint(kind: str, trial: Trial) -> str | None:
    """Return what is wrong with a component's declarations and outputs, in one line."""
    with evaluating(trial.task):
        return _KINDS[kind](trial)


def _generator(trial: Trial) -> str | None:
    network = trial.component
    for name in ("latent_shape", "image_shape", "image_range"):
        if not hasattr(network, name):
            return f"it has no attribute {name}; see gvt.Generator"
    images = network(torch.randn(N, *network.latent_shape))
    return is_tensor("images", images, (N, *network.image_shape))


def _discriminator(trial: Trial) -> str | None:
    return is_tensor("logits", trial.component(trial.batch().images), (N,))


def _backbone(trial: Trial) -> str | None:
    declared = getattr(trial.component, "feature_info", None)
    if not isinstance(declared, Mapping) or not declared:
        return "it has no feature_info, a dict with the (channels, stride) of each map"
    features = trial.component(*own_inputs(trial.component, trial.batch()))
    if not isinstance(features, Mapping) or list(features) != list(declared):
        came = list(features) if isinstance(features, Mapping) else type(features).__name__
        return f"it returns {came}, but declares the maps {list(declared)}, in this order"
    if list(_strides(declared)) != sorted(_strides(declared)):
        return f"its maps have strides {_strides(declared)}; the finest comes first"
    for name, (channels, stride) in declared.items():
        size = tuple(features[name].shape[-2:])
        if problem := is_tensor(f"map {name!r}", features[name], (N, channels, *size)):
            return problem
        if "image" not in getattr(trial.component, "reads", ("image",)):
            continue
        for side, pixels in zip(size, trial.shape[1:], strict=True):
            # Valid convolutions lose some pixels at the border, and wide padding adds one.
            if not ceil(pixels / stride) / 2 < side <= ceil(pixels / stride) + 1:
                return (
                    f"map {name!r} has {side} rows or columns for {pixels} pixels, and declares "
                    f"stride {stride}, which is about {ceil(pixels / stride)}; fix feature_info"
                )
    return None


def _strides(declared: Mapping[str, tuple[int, int]]) -> list[int]:
    return [stride for _, stride in declared.values()]


def _network(trial: Trial) -> str | None:
    outputs = dict(leaves(trial.component(*own_inputs(trial.component, trial.batch()))))
    if not outputs:
        return "it returns no tensor; return one, or several in a tuple, a list or a dict"
    odd = [name for name, output in outputs.items() if not output.isfinite().all()]
    return f"output {odd[0]!r} is not finite" if odd else None


def _head(trial: Trial) -> str | None:
    return _losses_complaint(trial) or predictions_complaint(trial, trial.batch())


def _task(trial: Trial) -> str | None:
    task = trial.task
    modules = {name for name, _ in task.named_modules()}
    if not getattr(task, "phases", None) or not all(isinstance(p, Phase) for p in task.phases):
        return "it has no phases, a tuple of gvt.Phase"
    for phase in task.phases:
        for name in (*phase.trained, *phase.keeps_graph):
            if name not in modules:
                return f"phase {phase.name!r} trains {name!r}, which is not a submodule of the task"
    shown = {name: Shown.of(value) for name, value in task.pictures(0, None).items()}
    for name, of_field in shown.items():
        sheet = of_field.value
        if of_field.field != "image":
            of_field.files()
            continue
        if not isinstance(sheet, Tensor) or sheet.ndim not in (4, 5):
            return f"pictures {name!r} must have shape (N, C, H, W) or (rows, columns, C, H, W)"
        if sheet.min() < 0 or sheet.max() > 1:
            return (
                f"pictures {name!r} have values from {sheet.min():.2g} to {sheet.max():.2g}; "
                "they must be in [0, 1]"
            )
    return _losses_complaint(trial) or predictions_complaint(trial, trial.batch())


def _loss(trial: Trial) -> str | None:
    value = trial.component(torch.randn(N, CLASSES), torch.arange(N) % CLASSES)
    return is_tensor("the loss of logits (N, K) and class indices (N,)", value, ())


def _losses_complaint(trial: Trial) -> str | None:
    batch, found = trial.batch(), 0
    with torch.enable_grad():
        try:
            found = sum(len(losses) for _, losses in phases(trial.task, batch))
        except NotScalar as problem:
            return str(problem)
    return None if found else "a batch with all targets that it needs gives no loss"


def predictions_complaint(trial: Trial, batch: Batch) -> str | None:
    """Return what is wrong with the predictions for a batch, in one line."""
    values = predictions(trial.task, batch)
    if trial.task is not trial.component:
        values = [prediction["head"] for prediction in values]  # the name of the head in a trial
    elif not values:
        return None  # a task need not predict
    if len(values) != N or not all(isinstance(p, Mapping) for p in values):
        return f"it made {len(values)} predictions for {N} images; return one dict for each image"
    for prediction, size in zip(values, batch.frame.sizes, strict=True):
        for part in by_head(prediction).values():
            if "boxes" in part:
                problem = detections_complaint(part, size, batch.frame.canvas, CLASSES)
            else:
                problem = _of_whole_complaint(part, batch.frame.canvas)
            if problem:
                return problem
    return None


def _of_whole_complaint(prediction: Mapping[str, Any], canvas: tuple[int, int]) -> str | None:
    """Return what is wrong with a prediction for the whole image, or for each pixel."""
    forms: dict[str, tuple[int, ...]] = {"class": (), "semantic": canvas}
    if "masks" in prediction:
        forms["masks"] = (len(prediction["masks"]), *canvas)
    for key, form in forms.items():
        if key in prediction and (
            problem := is_tensor(f"prediction {key!r}", prediction[key], form)
        ):
            return problem
    if "class" in prediction and not 0 <= int(prediction["class"]) < CLASSES:
        return f"prediction 'class': {int(prediction['class'])} is not one of {CLASSES} classes"
    return None


_KINDS: dict[str, Callable[[Trial], str | None]] = {
    "generator": _generator,
    "discriminator": _discriminator,
    "backbone": _backbone,
    "network": _network,
    "head": _head,
    "task": _task,
    "loss": _loss,
}
