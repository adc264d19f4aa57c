"""CAGrad: the step near the mean gradient that is best for the worst head."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from gvt import PassedTo, Weighting

from .gram import GradientWeighting

SHORTEST = 1e-5
"""Length, relative to the longest gradient, up to which the weighted gradient counts as zero."""

GAP = 1e-9
"""Distance from the minimum, relative to the square of the longest gradient."""

STEPS = 50
"""Maximum number of Newton steps for one strength of the barriers; three are usual."""


class CAGrad(GradientWeighting):
    """CAGrad (Liu and others, 2021, https://arxiv.org/abs/2110.14048).

    The step is in a ball around the mean gradient, whose radius is `c` times the length of the
    mean. Its smallest scalar product with the gradient of a head is as large as possible. With
    `c = 0` it is the sum of the gradients. The step of the paper is multiplied by K / (1 + c), so
    that gradients that are equal are summed as they are, for any `c`.

    Args:
        c: Radius; from 1 on, the step may become 0 while the mean of the losses can still fall.
    """

    def __init__(
        self, c: NonNegativeFloat = 0.5, **settings: Annotated[Any, PassedTo(Weighting)]
    ) -> None:
        super().__init__(**settings)
        self.c = c

    def combine(self, products: Tensor, generator: torch.Generator) -> Tensor:
        """Return the weights (K,) for the scalar products (K, K)."""
        mean = products.mean(dim=1)  # of each gradient with the mean gradient
        radius = self.c * math.sqrt(max(float(mean.mean()), 0.0))
        if radius < SHORTEST**2:
            return torch.ones_like(mean)
        worst = worst_case(products, mean, radius)
        length = (worst @ products @ worst + SHORTEST**2).sqrt()
        weights: Tensor = (1 + len(mean) * radius / length * worst) / (1 + self.c)
        return weights


def worst_case(products: Tensor, mean: Tensor, radius: float) -> Tensor:
    """Return the w in the simplex with the smallest mean w + radius sqrt(w products w).

    With barriers for w > 0 and for the cone of the square root, the function is self-concordant, so
    damped Newton steps converge. They follow its minimum as the barriers become weaker.
    """
    point = torch.full_like(mean, 1 / len(mean))
    weakness = 1.0
    while (len(mean) + 2) / weakness > GAP:
        weakness *= 20
        for _ in range(STEPS):
            step, decrement = _newton(point, products, mean, radius, weakness)
            point = point + (step if decrement < 0.25 else step / (1 + decrement))
            point = point / point.sum()
            if decrement < 0.25:
                break
    return point


def _newton(
    point: Tensor, products: Tensor, mean: Tensor, radius: float, weakness: float
) -> tuple[Tensor, float]:
    """Return the Newton step, whose sum is 0, and the Newton decrement.

    The function is weakness (mean w + radius t) - log(t^2 - w products w) - sum(log w), at its
    minimum over t. The step is computed relative to w, and the slopes relative to their mean, which
    is well-conditioned near the faces and corners of the simplex.
    """
    normal = products @ point
    shortest = 1 / (weakness * radius)
    root = (shortest**2 + point @ normal + SHORTEST**2).sqrt()
    t = shortest + root
    slopes = mean + radius / t * normal
    gradient = weakness * point * (slopes - point @ slopes) - 1
    curvature = products - torch.outer(normal, normal) / (t * root)
    hessian = weakness * radius / t * curvature * torch.outer(point, point)
    hessian.diagonal().add_(1)
    solved = torch.linalg.solve(hessian, torch.stack([gradient, point], dim=1))
    along, across = point @ solved
    step = solved[:, 1] * (along / across) - solved[:, 0]
    return point * step, math.sqrt(max(-float(gradient @ step), 0.0))
