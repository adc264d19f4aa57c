"""A plugin in a single file: an optimiser that treats weights and other parameters differently.

gvt run classify.mnist "optimizers.model={name: muon, lr: 0.02}" --plugin examples/muon.py
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from gvt_registry import Component, hookimpl

MEAN, SQUARE = 0.9, 0.95
"""Decays of Adam's averages of gradients and of their squares."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices and convolution filters, Adam for all other parameters.

    Muon (Jordan and others, 2024, https://kellerjordan.github.io/posts/muon) moves a matrix along
    its momentum with all singular values set to about 1. The filters of a convolution count as one
    matrix, (channels out, channels in * height * width).

    Args:
        params: Groups of parameters; gvt fills them in.
        lr: Learning rate.
        momentum: Decay of the momentum.
        weight_decay: Decay of the weights at each step, times the learning rate.
        adam: Names of submodules or parameters of the task that Adam trains, whatever their shape.
        adam_rate: Learning rate of Adam, as a factor of `lr`.
    """

    def __init__(
        self,
        params: Any,
        lr: PositiveFloat = 0.02,
        momentum: NonNegativeFloat = 0.95,
        weight_decay: NonNegativeFloat = 0.0,
        adam: Sequence[str] = (),
        adam_rate: PositiveFloat = 0.1,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "adam_rate": adam_rate})
        self._of_adam = tuple(f"{name}." for name in adam)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                if parameter.ndim < 2 or f"{name}.".startswith(self._of_adam):
                    self._adam(parameter, group["lr"] * group["adam_rate"])
                else:
                    self._muon(parameter, group["lr"], group["momentum"])

    def _muon(self, parameter: Tensor, lr: float, momentum: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        update = orthogonalized(gradient.lerp(average, momentum).flatten(1))
        lr *= math.sqrt(max(1.0, update.shape[0] / update.shape[1]))
        parameter.add_(update.view(parameter.shape), alpha=-lr)

    def _adam(self, parameter: Tensor, lr: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = (torch.zeros_like(parameter) for _ in range(2))
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - MEAN)
        square = state["square"].lerp_(gradient.square(), 1 - SQUARE)
        mean = mean / (1 - MEAN ** state["step"])
        square = square / (1 - SQUARE ** state["step"])
        parameter.sub_(lr * mean / (square.sqrt() + 1e-8))


def orthogonalized(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return a matrix (R, C) with all singular values moved to about 1, by Newton-Schulz steps."""
    x = matrix.bfloat16()
    if is_tall := matrix.shape[0] > matrix.shape[1]:
        x = x.T
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return (x.T if is_tall else x).to(matrix.dtype)


@hookimpl
def gvt_components() -> Component:
    """Return the optimiser; its target is `module:name`, as in an installed plugin."""
    return Component(
        "optimizer", "muon", "muon:Muon", summary="Muon for weights, Adam for the rest"
    )
