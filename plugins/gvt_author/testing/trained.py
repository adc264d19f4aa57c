"""Rules on exporters and explainers, which work with a trained task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Batch, ConfigError, Deployed, MultiHead, Task, seed_everything
from gvt.loop import evaluating
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.objects import is_tensor
from gvt_author.testing.stand_ins import CLASSES, Pictures, TinyBackbone, TinyHead, batch_of
from gvt_author.testing.training import different, listed
from gvt_author.testing.trial import CPU, SHAPE, built
from gvt_registry import Offer


class _Logits(nn.Module):
    """A classifier from images to a tuple of logits and probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = TinyBackbone(SHAPE)
        self.head = TinyHead(self.backbone.feature_info)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities, (N, K) each, for images (N, C, H, W)."""
        logits = self.head(self.backbone(images), None)
        return logits, logits.softmax(dim=1)


@rule("exporter", name="shapes")
def written(offer: Offer) -> None:
    """It writes a file that computes the same, for other inputs and another batch size."""
    exporter: Any = built(offer)
    if not isinstance(getattr(exporter, "suffix", None), str):
        raise Failed("it has no attribute suffix, such as '.onnx'; see gvt.Exporter")
    seed_everything(0)
    module = _Logits().eval()
    outputs = {"logits": "class", "probabilities": "class"}
    deployed = Deployed(module, {"images": "image"}, outputs, {"images": {0: "N"}})
    inputs = torch.rand(3, *SHAPE)
    with TemporaryDirectory(prefix="gvt-export-") as folder, torch.no_grad():
        path = Path(folder, f"model{exporter.suffix}")
        try:
            exporter.export(deployed, (torch.rand(2, *SHAPE),), path)
            values = exporter.load(path)(inputs) if path.exists() else ()
        except ConfigError as error:
            raise Skipped(str(error)) from error
        if not path.exists():
            raise Failed("it writes nothing at the path")
        expected = module(inputs)
    if not isinstance(values, tuple) or len(values) != len(expected):
        raise Failed(f"the file computes {type(values).__name__}, expected a tuple of 2 tensors")
    for name, value, of_module in zip(outputs, values, expected, strict=True):
        if problem := is_tensor(f"output {name!r} of the file", value, tuple(of_module.shape)):
            raise Failed(problem)
        if not torch.allclose(value, of_module, rtol=1e-3, atol=1e-4):
            gap = float((value - of_module).abs().max())
            raise Failed(f"output {name!r} of the file differs by up to {gap:.2g}")


@rule("explainer", name="shapes")
def relevance(offer: Offer) -> None:
    """It returns finite relevance for the pixels of the images."""
    relevance = _explained(built(offer))[0]
    if not isinstance(relevance, Mapping) or not relevance:
        raise Failed(f"it returns {type(relevance).__name__}, expected relevance by field")
    if unknown := [name for name in relevance if name != "image"]:
        raise Failed(f"it explains {unknown[0]!r}, but the inputs are: image")
    if problem := is_tensor("the relevance of 'image'", relevance["image"], (4, *SHAPE[1:])):
        raise Failed(problem)
    if not relevance["image"].isfinite().all():
        raise Failed("the relevance of 'image' is not finite")


@rule("explainer", name="determinism")
def same_relevance(offer: Offer) -> None:
    """The same seed gives the same relevance."""
    one, other = (_explained(built(offer))[0] for _ in range(2))
    if not isinstance(one, Mapping):
        raise Skipped("it returns no relevance by field; see the rule 'shapes'")
    if names := different(dict(one), dict(other)):
        raise Failed(f"{listed(names)} differs for the same seed; draw from torch's generator")


@rule("explainer", name="state")
def untouched(offer: Offer) -> None:
    """It leaves the task as it was: weights, gradients, mode and hooks."""
    _, before, after = _explained(built(offer))
    if names := different(before, after):
        raise Failed(f"{listed(names)} of the task differs afterwards; restore it")


def _explained(explainer: Any) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
    """Explain a classifier; return the relevance, and the state of the task before and after."""
    seed_everything(0)
    backbone = TinyBackbone(SHAPE)
    head = TinyHead(backbone.feature_info)
    task = MultiHead(backbone, {"head": head})
    batch = batch_of(Pictures(SHAPE), CPU)

    def score(batch: Batch) -> Tensor:
        logits: Tensor = head(backbone(batch.images), batch)
        return logits[torch.arange(len(batch)), torch.arange(len(batch)) % CLASSES]

    with evaluating(task), torch.enable_grad():
        before = _state(task)
        return explainer(task, batch, score), before, _state(task)


def _state(task: Task) -> dict[str, Tensor]:
    """Return all that an explainer could change in a task, by name."""
    state = {name: value.detach().clone() for name, value in task.state_dict().items()}
    for name, parameter in task.named_parameters():
        gradient = torch.zeros(0) if parameter.grad is None else parameter.grad.clone()
        state[f"the gradient of {name}"] = gradient
        state[f"requires_grad of {name}"] = torch.tensor(parameter.requires_grad)
    for name, module in task.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        state[f"the hooks of {name or 'the task'}"] = torch.tensor([*map(len, hooks)])
        state[f"the mode of {name or 'the task'}"] = torch.tensor(module.training)
    return state
