"""PCGrad: gradients are projected if they conflict."""

from __future__ import annotations

import torch
from torch import Tensor

from .gram import GradientWeighting


class PCGrad(GradientWeighting):
    """PCGrad (Yu and others, 2020, https://arxiv.org/abs/2001.06782).

    From the gradient of each head, its component against the gradient of every other head is
    removed, in a random order. The results are summed, as in the paper. Without a conflict, this
    is the sum of the gradients.
    """

    def combine(self, products: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights (K,) for the scalar products (K, K)."""
        projected = torch.eye(len(products), dtype=products.dtype)
        for i, row in enumerate(projected):  # the projected gradient as a sum of gradients
            for j in torch.randperm(len(products), generator=generator).tolist():
                product = row @ products[j]
                if j != i and product < 0 < products[j, j]:
                    row[j] -= product / products[j, j]
        return projected.sum(dim=0)
