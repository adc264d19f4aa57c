"""Linear support vector machines, one for each class against all that is not of it."""

from __future__ import annotations

from torch import Tensor

STEEPNESS = 3.0
"""By which margins become scores: those of -1 and 1 are 0.05 and 0.95."""


def hinge_loss(margins: Tensor, sides: Tensor) -> Tensor:
    """Return the hinge losses of K machines, each a mean over its examples, summed, ().

    Cortes and Vapnik, 1995, https://doi.org/10.1007/BF00994018, without the square of the weights,
    which is an optimiser's `weight_decay`. A machine without an example has none.

    Args:
        margins: (R, K), each machine's of each vector.
        sides: (R, K): 1 for a vector of the class, -1 for one that is not, 0 for no example.
    """
    decided = sides.abs()
    losses = (1 - sides * margins).clamp(min=0) * decided
    return (losses.sum(dim=0) / decided.sum(dim=0).clamp(min=1)).sum()


def scores_of(margins: Tensor) -> Tensor:
    """Return margins, of any shape, as scores in [0, 1], in the same order.

    It is the logistic function of three times the margin: 0.5 is on the boundary, and the score of
    what a machine was taught to keep off, at a margin of -1 or less, is below 0.05.
    """
    return (STEEPNESS * margins).sigmoid()
