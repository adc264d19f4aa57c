"""Rules on metrics: `torchmetrics` metrics over predicted and true class indices."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gvt import seed_everything
from gvt_author.testing.check import Failed, rule
from gvt_author.testing.stand_ins import CLASSES
from gvt_author.testing.training import different
from gvt_author.testing.trial import built, leaves
from gvt_registry import Offer


@rule("metric", name="shapes")
def values(offer: Offer) -> None:
    """It takes predicted and true class indices (N,), and computes finite numbers."""
    computed = _fed(_built(offer))
    if not computed:
        raise Failed("it computes no tensor; return a number, a vector, or a dict of them")
    for name, value in computed.items():
        if not value.isfinite().all():
            raise Failed(
                f"{name or 'its value'} is not finite, although all {CLASSES} classes occur"
            )


@rule("metric")
def reset(offer: Offer) -> None:
    """After reset() it computes the same as a new one."""
    metric = _built(offer)
    new = _fed(metric)
    metric.reset()
    if different(new, _fed(metric)):
        raise Failed("after reset() it still has state from before; declare it by add_state")


@rule("metric", name="determinism")
def same_values(offer: Offer) -> None:
    """The same seed and inputs give the same value."""
    if different(_fed(_built(offer)), _fed(_built(offer))):
        raise Failed("it computes another value for the same inputs; draw from torch's generator")


@rule("metric", name="deep-copy")
def copied(offer: Offer) -> None:
    """A deep copy does not change with the original."""
    metric = _built(offer)
    twin = copy.deepcopy(metric)
    new = _fed(metric)
    if different(new, _fed(twin)):
        raise Failed(
            "a deep copy computes another value than the original; declare its state by add_state"
        )


def _built(offer: Offer) -> Any:
    seed_everything(0)
    return built(offer)


def _fed(metric: Any) -> dict[str, Tensor]:
    """Return the values of a metric after two batches."""
    truth = torch.arange(4 * CLASSES) % CLASSES
    predicted = truth.roll(1).where(torch.arange(len(truth)) % 3 == 0, truth)
    for rows in (slice(0, 6), slice(6, None)):
        metric.update(predicted[rows], truth[rows])
    return dict(leaves(metric.compute()))
