"""Learned weights of the losses of the heads."""

from __future__ import annotations

from pydantic import PositiveInt
from torch import Tensor, nn, zeros

from gvt import Weighting


class Uncertainty(Weighting):
    """Weights by uncertainty (Kendall and others, 2018, https://arxiv.org/abs/1705.07115).

    The sum L of the losses of a head becomes exp(-s) L + s / 2, where s, the logarithm of a
    variance, is learned for each head and begins at 0. The term s / 2 is the loss `log_deviation`.
    The paper has exp(-s) L for a class, and half of it for a regression.
    """

    def __init__(self, cosines_every: PositiveInt | None = None) -> None:
        super().__init__(cosines_every)
        self.log_variances = nn.ParameterDict()

    def add_head(self, name: str) -> None:
        """Add a head, with s = 0."""
        super().add_head(name)
        self.log_variances[name] = nn.Parameter(zeros(()))

    def remove_head(self, name: str) -> None:
        """Remove a head, and its s."""
        super().remove_head(name)
        self.log_variances.pop(name)

    def forward(self, head: str, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of a head times exp(-s), and s / 2; none if there are none."""
        if not losses:
            return losses
        log_variance = self.log_variances[head]
        factor = (-log_variance).exp()
        weighted = {key: factor * loss for key, loss in losses.items()}
        return {**weighted, "log_deviation": log_variance / 2}
