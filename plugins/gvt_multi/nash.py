"""Nash-MTL: the step is the bargaining solution of the heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gram import GradientWeighting

SMALLEST = 1e-6
"""Eigenvalues of the matrix of cosines are at least this, so that weights are finite."""

STEPS = 200
"""Maximum number of Newton steps; ten are usual."""


class Nash(GradientWeighting):
    """Nash-MTL (Navon and others, 2022, https://arxiv.org/abs/2202.01017).

    The weights a are positive with (G a)_i = 1 / a_i, where G are the scalar products of the
    gradients. The direction of the step does not depend on the scales of the losses. The step of
    the paper has length sqrt(K). Here it is multiplied by the root mean square of the lengths of
    the gradients, so that orthogonal gradients of equal lengths are summed as they are.

    If the gradients of some heads cancel out, as at a Pareto-stationary point, there is no
    solution, and their weights become large: up to 1000 for gradients of length 1.
    """

    def combine(self, products: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights (K,) for the scalar products (K, K)."""
        squares = products.diagonal()
        rows = squares.nonzero().flatten()
        lengths = squares[rows].sqrt()
        # With weights b of unit vectors, whose products are the cosines, a = b / lengths.
        cosines = products[rows][:, rows] / (lengths * lengths[:, None])
        weights = torch.ones_like(squares)
        weights[rows] = bargained(cosines) * lengths.square().mean().sqrt() / lengths
        return weights


def bargained(cosines: Tensor) -> Tensor:
    """Return the solution b > 0 of C b = 1 / b for a matrix of cosines (K, K).

    It is the minimum of b C b / 2 - sum(log b). This function is self-concordant, so damped Newton
    steps converge from any start.
    """
    values, vectors = torch.linalg.eigh(cosines)
    matrix = (vectors * values.clamp(min=SMALLEST)) @ vectors.T
    solution = matrix.new_ones(len(matrix))
    for _ in range(STEPS):
        gradient = matrix @ solution - 1 / solution
        step = torch.linalg.solve(matrix + torch.diag(solution**-2), gradient)
        decrement = math.sqrt(max(float(gradient @ step), 0.0))
        solution = solution - (step if decrement < 0.25 else step / (1 + decrement))
        if decrement < 1e-8:
            break
    return solution
