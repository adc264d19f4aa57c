"""Rules on deployed forms, and on the formats that components are exported to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Batch, Deployed, Frame
from gvt.loop import evaluating
from gvt.predictions import by_head, short_name
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.networks import NETWORKS
from gvt_author.testing.stand_ins import CLASSES
from gvt_author.testing.trial import Trial, leaves, tried
from gvt_registry import Offer

Inputs = tuple[Tensor, ...]
Program = Callable[[Inputs], Sequence[Tensor]]

FACTOR = 4
"""Factor of the image sizes, so that no map has a side of 1, which exported programs fix."""

COUNTS = (2, 3)
"""Samples of the batch that a program is exported with, and of another one."""

MORE = (16, 40)
"""Further rows and columns of the images of the other batch."""


@rule("head", "task")
def deployed(offer: Offer) -> None:
    """Its deployed form computes what it predicts, also for other counts and sizes of images."""
    trial = tried(offer)
    form = _form(trial)
    with evaluating(trial.task), torch.no_grad():
        for other in (0, 1):
            inputs = _inputs(trial, form, other)
            outputs = form.module(*inputs)
            if len(outputs) != len(form.outputs):
                raise Failed(f"it returns {len(outputs)} tensors for {', '.join(form.outputs)}")
            named = dict(zip(form.outputs, outputs, strict=True))
            for name, value in named.items():
                if len(value) != COUNTS[other]:
                    raise Failed(f"output {name!r} has {len(value)} rows for {COUNTS[other]}")
            if problem := _difference(trial, dict(zip(form.inputs, inputs, strict=True)), named):
                raise Failed(problem)


@rule(*NETWORKS, "head", "task")
def exports(offer: Offer) -> None:
    """What it declares in `exports`, `onnx` or `torch`, computes the same in this format."""
    formats = getattr(offer.load(), "exports", ())
    if not formats:
        raise Skipped("it declares no exports")
    if unknown := sorted({*formats} - {*_FORMATS}):
        raise Failed(f"exports {', '.join(unknown)}: supported are {', '.join(_FORMATS)}")
    trial = tried(offer)
    with evaluating(trial.task), torch.no_grad():
        module, batches, dynamic_shapes = _module(offer.component.kind, trial)
        for name in formats:
            program = _FORMATS[name](module, batches[0], dynamic_shapes)
            for inputs in batches:
                expected = [value for _, value in leaves(module(*inputs))]
                for ours, theirs in zip(expected, program(inputs), strict=True):
                    if not _is_close(ours, theirs):
                        raise Failed(f"the {name} program computes other values")


def _module(kind: str, trial: Trial) -> tuple[nn.Module, list[Inputs], Any]:
    """Return what is exported, inputs to try it with, and the `dynamic_shapes`, if any."""
    if kind == "generator":
        return trial.component, [(torch.randn(2, *trial.component.latent_shape),)], None
    if kind in NETWORKS:
        return trial.component, [(trial.batch().images[:2],)], None
    form = _form(trial)
    batches = [_inputs(trial, form, other) for other in (0, 1)]
    return form.module, batches, form.dynamic_shapes(batches[0])


def _form(trial: Trial) -> Deployed:
    try:
        return trial.task.deployed()
    except NotImplementedError as reason:
        raise Skipped(f"it has no deployed form: {reason}") from reason


def _inputs(trial: Trial, form: Deployed, other: int) -> Inputs:
    """Return inputs of a deployed form; the other ones differ in all that may vary."""
    return tuple(_input(trial, form, name, field, other) for name, field in form.inputs.items())


def _input(trial: Trial, form: Deployed, name: str, field: str, other: int) -> Tensor:
    count = COUNTS[other] if 0 in form.dynamic[name] else COUNTS[0]
    channels, height, width = trial.shape
    if {"height", "width"} <= {*form.dynamic[name].values()}:
        height, width = FACTOR * height + MORE[0] * other, FACTOR * width + MORE[1] * other
    torch.manual_seed(other)
    if name in form.shapes:
        return torch.randn(count, *form.shapes[name])
    if field == "image":
        return torch.rand(count, channels, height, width)
    if field == "class":
        return torch.arange(count) % CLASSES
    if field == "proposals":
        corners = torch.rand(count, 10 + other, 2, 2) * torch.tensor(trial.shape[:0:-1])
        return corners.sort(dim=2).values.flatten(2)
    raise Skipped(f"its deployed form has the input {name}, which the kit cannot generate")


def _difference(
    trial: Trial, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
) -> str | None:
    """Return how outputs differ from the predictions for the same inputs, in one line."""
    if "image" not in inputs:
        return None  # it is not what the task predicts
    predictions = trial.task.predict(Batch(inputs, Frame.of(inputs["image"])))
    for row, prediction in enumerate(predictions):
        parts = by_head(prediction)
        expected = {short_name(h, parts, k): v for h, p in parts.items() for k, v in p.items()}
        if trial.task.predicts() and list(expected) != list(outputs):
            return f"it predicts {', '.join(expected)}, and returns {', '.join(outputs)}"
        for name, value in outputs.items():
            if not _is_close(_filled_up(expected[name], value[row], name), value[row]):
                return f"output {name!r} differs from what is predicted for image {row}"
    return None


def _filled_up(value: Tensor, like: Tensor, name: str) -> Tensor:
    """Return a prediction that varies in length with the fillers of a deployed form."""
    if value.shape == like.shape or value.shape[1:] != like.shape[1:]:
        return value
    filler = -1 if name.rpartition("/")[2] == "labels" else 0
    rest = value.new_full((max(0, len(like) - len(value)), *value.shape[1:]), filler)
    return torch.cat([value, rest])


def _is_close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.float(), other.float(), 1e-3, 1e-4)


def _through_torch(module: nn.Module, inputs: Inputs, dynamic_shapes: Any) -> Program:
    """Return a program of `torch.export`."""
    run = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes).module()
    return lambda given: [value for _, value in leaves(run(*given))]


def _through_onnx(module: nn.Module, inputs: Inputs, dynamic_shapes: Any) -> Program:
    """Return an ONNX program, run by the reference implementation.

    Raises:
        Skipped: If a package is missing.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise Skipped(f"ONNX export needs the package {package}: pip install 'gvt[onnx]'")
    from onnx import load_model_from_string
    from onnx.reference import ReferenceEvaluator

    file = BytesIO()
    program: Any = torch.onnx.export(
        module, inputs, dynamo=True, verbose=False, dynamic_shapes=dynamic_shapes
    )
    program.save(file)
    evaluator = ReferenceEvaluator(load_model_from_string(file.getvalue()))
    return lambda given: [
        torch.from_numpy(value)
        for value in evaluator.run(
            None, {n: v.numpy() for n, v in zip(evaluator.input_names, given, strict=True)}
        )
    ]


_FORMATS: dict[str, Callable[[nn.Module, Inputs, Any], Program]] = {
    "torch": _through_torch,
    "onnx": _through_onnx,
}
