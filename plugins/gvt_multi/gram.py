"""The base class of weightings that combine the heads' gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gvt import Weighting

SHORTEST = 1e-12
"""A gradient shorter than this fraction of the longest one counts as zero."""


class GradientWeighting(Weighting):
    """Base class of weightings by the scalar products of the heads' gradients.

    The weights are 1 for a single head, and if all gradients are zero. They are 1, too, if a
    gradient is not finite, so that their sum is not, and the trainer sees it.
    """

    uses_gradients = True

    def weights(self, heads: Sequence[str], gram: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weight of each head's gradient, (K,)."""
        largest = gram.diagonal().max()
        if len(heads) == 1 or not (gram.isfinite().all() and largest > 0):
            return gram.new_ones(len(heads))
        products = gram / largest
        is_zero = products.diagonal() < SHORTEST**2
        return self.combine(products.masked_fill(is_zero | is_zero[:, None], 0), generator)

    def combine(self, products: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights (K,) for the scalar products of several gradients.

        Args:
            products: (K, K) float64. The longest gradient has length 1, and one may be zero.
            generator: Source of random numbers.
        """
        raise NotImplementedError
