"""Loss and scores of linear support vector machines, one against the rest for each class."""

from __future__ import annotations

from torch import Tensor

STEEPNESS = 3.0
"""Factor of margins in the logistic function: margins of -1 and 1 are scores 0.05 and 0.95."""


def hinge_loss(margins: Tensor, sides: Tensor) -> Tensor:
    """Return the sum of the mean hinge losses of K machines, ().

    Cortes and Vapnik 1995, https://doi.org/10.1007/BF00994018, without the squared norm of the
    weights, which is an optimiser's `weight_decay`. The loss of a machine without examples is 0.

    Args:
        margins: (R, K), of each vector and machine.
        sides: (R, K): 1 for a positive example, -1 for a negative one, 0 for none.
    """
    counts = sides.abs()
    losses = (1 - sides * margins).clamp(min=0) * counts
    return (losses.sum(dim=0) / counts.sum(dim=0).clamp(min=1)).sum()


def scores_of(margins: Tensor) -> Tensor:
    """Convert margins, of any shape, to scores in [0, 1], in the same order.

    The score is the logistic function of three times the margin: 0.5 on the boundary, and below
    0.05 for a margin of -1 or less, the target of negative examples.
    """
    return (STEEPNESS * margins).sigmoid()
