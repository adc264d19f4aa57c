"""Aligned-MTL: the principal components of the gradients get the same length."""

from __future__ import annotations

import torch
from torch import Tensor

from .gram import GradientWeighting

SMALLEST = 1e-10
"""An eigenvalue below this fraction of the largest one counts as zero."""


class Aligned(GradientWeighting):
    """Aligned-MTL (Senushkin and others, 2023, https://arxiv.org/abs/2305.19000).

    The matrix of the gradients is replaced by the nearest one with orthogonal rows of equal
    lengths, and its rows are summed. Their length is the root mean square of the singular values,
    so that orthogonal gradients of equal lengths are summed as they are. The paper takes the
    smallest singular value instead, which differs much from step to step, and a mean instead of the
    sum.
    """

    def combine(self, products: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights (K,) for the scalar products (K, K)."""
        values, vectors = torch.linalg.eigh(products)
        kept = values > SMALLEST * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        weights: Tensor = vectors @ (vectors.sum(dim=0) * values.mean().sqrt() / values.sqrt())
        return weights
