"""FAMO: weights by how fast the losses of the heads fall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from gvt import ConfigError, PassedTo, Weighting

FIELDS = ("logit", "mean", "square", "steps", "loss", "factor")
"""What is kept for a head: its logit with the state of Adam, its last loss, and its factor."""

BETAS, EPS = (0.9, 0.999), 1e-8
"""Coefficients and epsilon of Adam."""

SMALLEST = 1e-8
"""The smallest factor of a head's losses."""


class FAMO(Weighting):
    """FAMO (Liu and others, 2023, https://arxiv.org/abs/2306.03792).

    The logarithms of the losses are to fall equally fast. Each head has a logit, which falls if its
    loss falls faster than those of the others. With z, the softmax of the logits, the losses of a
    head with the sum L are multiplied by z / L, divided by the mean of z / L over the heads. In the
    paper these factors have the sum 1, here the mean 1, as those of a plain sum. No head has a
    backward pass of its own.

    Further differences from the paper: the change of a loss is that from one batch to the next,
    which saves a second pass over the first batch, but contains the differences between the
    batches. L is the loss of the last step, and so all factors are 1 in the first step. A head
    without samples in a step keeps its logit and its L.

    Losses have to be positive. A head whose loss is 0 in a step counts as one without samples.

    Args:
        lr: Learning rate of the logits, by Adam.
        decay: Weight decay of the logits.
    """

    observes_losses = True

    def __init__(
        self,
        lr: PositiveFloat = 0.025,
        decay: NonNegativeFloat = 1e-3,
        **settings: Annotated[Any, PassedTo(Weighting)],
    ) -> None:
        super().__init__(**settings)
        self.lr, self.decay = lr, decay
        self.states = nn.ModuleDict()

    def add_head(self, name: str) -> None:
        """Add a head, with logit 0 and factor 1."""
        super().add_head(name)
        self.states[name] = _State()

    def remove_head(self, name: str) -> None:
        """Remove a head, and its state."""
        super().remove_head(name)
        self.states.pop(name)

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a head times its factor."""
        factor = self.states[head].factor
        return {key: factor * loss for key, loss in losses.items()}

    def observe(self, losses: Mapping[str, float]) -> None:
        """Update the logits and factors from the losses of a step.

        Raises:
            ConfigError: If a loss is negative.
        """
        states = self._read()
        rates: dict[str, float] = {}
        for head, loss in losses.items():
            state = states[head]
            before, after = state["loss"], loss / state["factor"]
            if after < 0:
                raise ConfigError(
                    f"task.weighting: famo needs positive losses, and that of head {head} is "
                    f"{after:.3g}; choose another weighting"
                )
            if not 0 < after < math.inf:  # the trainer reports a loss that is not finite
                continue
            state["loss"] = after
            if before:
                rates[head] = math.log(before) - math.log(after)
        self._update_logits(states, rates)
        _update_factors([state for state in states.values() if state["loss"]])
        self._write(states)

    def _update_logits(self, states: dict[str, dict[str, float]], rates: dict[str, float]) -> None:
        """Update the logits by Adam, for the rate at which the loss of each head falls."""
        shares = dict(zip(rates, _softmax([states[head]["logit"] for head in rates]), strict=True))
        mean = sum(shares[head] * rate for head, rate in rates.items())
        for head, rate in rates.items():
            state = states[head]
            gradient = shares[head] * (rate - mean) + self.decay * state["logit"]
            state["steps"] += 1
            state["mean"] += (1 - BETAS[0]) * (gradient - state["mean"])
            state["square"] += (1 - BETAS[1]) * (gradient**2 - state["square"])
            step = state["mean"] / (1 - BETAS[0] ** state["steps"])
            deviation = math.sqrt(state["square"] / (1 - BETAS[1] ** state["steps"]))
            state["logit"] -= self.lr * step / (deviation + EPS)

    def _read(self) -> dict[str, dict[str, float]]:
        if not self.heads:
            return {}
        buffers = [getattr(self.states[head], field) for head in self.heads for field in FIELDS]
        values = iter(torch.stack(buffers).tolist())  # one transfer from the device
        return {head: {field: next(values) for field in FIELDS} for head in self.heads}

    def _write(self, states: dict[str, dict[str, float]]) -> None:
        for head, state in states.items():
            for field, value in state.items():
                getattr(self.states[head], field).fill_(value)


class _State(nn.Module):
    """The state of a head, `FIELDS` as buffers; a loss of 0 stands for none so far."""

    factor: Tensor

    def __init__(self) -> None:
        super().__init__()
        for field in FIELDS:
            self.register_buffer(field, torch.zeros(()))
        self.factor.fill_(1)


def _update_factors(states: list[dict[str, float]]) -> None:
    """Set the factors of the heads that had a loss."""
    shares = _softmax([state["logit"] for state in states])
    relative = [share / state["loss"] for share, state in zip(shares, states, strict=True)]
    for state, value in zip(states, relative, strict=True):
        state["factor"] = max(value * len(states) / sum(relative), SMALLEST)


def _softmax(logits: list[float]) -> list[float]:
    values: list[float] = torch.tensor(logits, dtype=torch.float64).softmax(dim=0).tolist()
    return values
