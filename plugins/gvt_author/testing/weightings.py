"""Rules on weightings of heads, with made-up losses and gradients."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from gvt import Weighting, seed_everything
from gvt.checkpoint import load, load_weights, save
from gvt_author.testing.check import Failed, Skipped, rule
from gvt_author.testing.objects import is_tensor
from gvt_author.testing.training import different, listed
from gvt_author.testing.trial import built
from gvt_registry import Offer

HEADS = ("first", "second", "third")

GRADIENTS = {
    "that agree": [[1.0, 0.0], [2.0, 1.0], [0.5, 0.5]],
    "that conflict": [[1.0, 0.0], [-1.0, 0.5], [0.0, -2.0]],
    "that cancel out": [[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]],
    "that are equal": [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]],
    "that are zero": [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
    "of very different lengths": [[1e-9, 0.0], [0.0, 1e9], [1.0, -1.0]],
    "of a single head": [[3.0, 4.0]],
}
"""Gradients of the heads in two shared parameters."""


@rule("weighting", name="shapes")
def finite_weights(offer: Offer) -> None:
    """It has a finite weight for each head, and scalar losses with a gradient."""
    weighting: Any = built(offer)
    if not isinstance(weighting, Weighting):
        raise Failed(f"it is a {type(weighting).__name__}; it has to be a gvt.Weighting")
    weighting = _new(offer)
    names = set(weighting.state_dict())
    weighting.add_head("fourth")
    weighting.remove_head("fourth")
    if tuple(weighting.heads) != HEADS or set(weighting.state_dict()) != names:
        raise Failed("a head that is added and removed changes it; call super(), and undo the rest")
    for what, rows in GRADIENTS.items():
        weights = _weights(weighting, rows)
        if problem := is_tensor(f"weights of gradients {what}", weights, (len(rows),)):
            raise Failed(problem)
        if not weights.isfinite().all():
            raise Failed(f"weights of gradients {what} are not finite: {weights.tolist()}")
    _check_losses(weighting)


@rule("weighting", name="determinism")
def same_weights(offer: Offer) -> None:
    """The same losses, gradients and generator give the same weights and losses."""
    if names := _random(offer):
        raise Failed(
            f"{listed(names)} differs for the same inputs; draw from the generator alone, which is "
            "the same in all processes"
        )


@rule("weighting", name="state")
def continued_weights(offer: Offer) -> None:
    """A checkpoint contains all of its state: a copy that loads it continues in the same way."""
    one, other = _reproducible(offer), _new(offer)
    _trained(one, range(3))
    with TemporaryDirectory(prefix="gvt-state-") as folder:
        path = Path(folder) / "state.safetensors"
        save(path, one.state_dict(), {})
        load_weights(other, load(path)[1])
    if names := different(_trained(one, range(3, 6)), _trained(other, range(3, 6))):
        raise Failed(
            f"{listed(names)} differs after a round trip through a checkpoint; keep all state in "
            "parameters, or in buffers by register_buffer"
        )


@rule("weighting", name="deep-copy")
def copied_weights(offer: Offer) -> None:
    """A deep copy continues like the original, also after the original has changed."""
    weighting = _reproducible(offer)
    _trained(weighting, range(3))
    twin = copy.deepcopy(weighting)
    if names := different(_trained(weighting, range(3, 6)), _trained(twin, range(3, 6))):
        raise Failed(
            f"{listed(names)} of a deep copy differs from the original, or changes with it; "
            "do not keep functions or references that close over the module"
        )


def _new(offer: Offer) -> Weighting:
    seed_everything(0)
    weighting: Weighting = built(offer)
    for head in HEADS:
        weighting.add_head(head)
    return weighting


def _reproducible(offer: Offer) -> Weighting:
    """Return a new weighting.

    Raises:
        Skipped: If it is not a weighting, or random, which other rules report.
    """
    if _random(offer):
        raise Skipped("its weights are random; see the rule 'determinism'")
    return _new(offer)


def _random(offer: Offer) -> list[str]:
    """Return the names of results that depend on other random numbers than those it is passed."""
    if not isinstance(built(offer), Weighting):
        raise Skipped("it is not a gvt.Weighting; see the rule 'shapes'")
    results = []
    for seed in range(2):
        weighting = _new(offer)
        seed_everything(seed)
        results.append(_trained(weighting, range(3)))
    return different(*results)


def _trained(weighting: Weighting, steps: range) -> dict[str, Tensor]:
    """Take steps of training, and return the losses and weights of each."""
    results: dict[str, Tensor] = {}
    sources = [rows for rows in GRADIENTS.values() if len(rows) == len(HEADS)]
    for step in steps:
        losses = {
            head: weighting(head, {"loss": torch.tensor(2.0 + number + number * step % 3)})
            for number, head in enumerate(HEADS)
        }
        results |= {f"loss of {h} in step {step}": _total(of_head) for h, of_head in losses.items()}
        results[f"weights of step {step}"] = _weights(weighting, sources[step % len(sources)], step)
        _descend(weighting, torch.stack([*map(_total, losses.values())]).sum())
        if weighting.observes_losses:
            weighting.observe({head: _total(of_head).item() for head, of_head in losses.items()})
    return {name: value.detach().clone() for name, value in results.items()}


def _descend(weighting: Weighting, loss: Tensor) -> None:
    """Take a step of gradient descent in the parameters of a weighting."""
    parameters = [p for p in weighting.parameters() if p.requires_grad]
    if not (parameters and loss.requires_grad):
        return
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.sub_(gradient, alpha=0.1)


def _weights(weighting: Weighting, rows: list[list[float]], seed: int = 0) -> Tensor:
    gradients = torch.tensor(rows, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return weighting.weights(HEADS[: len(rows)], gradients @ gradients.T, generator)


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([*losses.values()]).sum()


def _check_losses(weighting: Weighting) -> None:
    """Check the losses that a weighting returns.

    Raises:
        Failed: If they are not scalars by name, not finite, or have no gradient.
    """
    if weighting(HEADS[0], {}) != {}:
        raise Failed("a head without losses has to remain without; return {} for {}")
    source = torch.tensor(2.0, requires_grad=True)
    losses = weighting(HEADS[0], {"loss": source * 1, "other": source * 2})
    if not isinstance(losses, dict) or not {"loss", "other"} <= losses.keys():
        raise Failed(f"its losses came as {losses!r}, expected a dict with 'loss' and 'other'")
    for name, loss in losses.items():
        if problem := is_tensor(f"loss {name!r}", loss, ()):
            raise Failed(problem)
        if not loss.isfinite():
            raise Failed(f"loss {name!r} is {loss.item()}; losses have to be finite")
    total = _total(losses)
    if not (total.requires_grad and torch.autograd.grad(total, source, allow_unused=True)[0]):
        raise Failed("its losses have no gradient; return those of the head times a factor")
