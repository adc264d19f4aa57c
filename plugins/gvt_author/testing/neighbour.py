"""The rule that heads on one backbone do not affect each other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gvt import Batch, Head, MultiHead, Sample, Step, Targets, seed_everything
from gvt.data import Streamed
from gvt.loop import evaluating
from gvt_author.testing.check import Failed, Skipped, error_line, rule
from gvt_author.testing.stand_ins import TARGETS, Pictures, TinyBackbone, own_targets
from gvt_author.testing.training import check_finite, different, listed, phases
from gvt_author.testing.trial import CPU, SHAPE, build, built, leaves
from gvt_registry import Offer

_COUNT = 4
_ALL, _FIRST, _LAST = (range(_COUNT), range(_COUNT // 2), range(_COUNT // 2, _COUNT))
"""Rows of a batch."""

Values = dict[str, Tensor]
"""Predictions, losses and gradients by name."""


class Neighbour(Head):
    """A head whose outputs depend on all of its inputs, so that changes by another head show."""

    needs = ("neighbour",)

    def __init__(self, feature_info: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {name: nn.Linear(channels, 1) for name, (channels, _) in feature_info.items()}
        )

    def forward(self, features: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Values]:
        """Return a number for each image, (N,), and the sum () of each input tensor."""
        numbers = [layer(features[n].mean(dim=(2, 3))) for n, layer in self.layers.items()]
        tensors = {"features": features, "batch": {"inputs": batch.inputs}}
        return torch.cat(numbers, dim=1).sum(dim=1), _sums(tensors)

    def loss(self, outputs: tuple[Tensor, Values], targets: Targets) -> Values:
        """Return the squared error, and the sum () of each target of all heads."""
        error = (outputs[0] - torch.stack(targets["neighbour"])).square().mean()
        return {"square": error, **_sums({"targets": {**targets.dense, **targets.ragged}})}

    def predict(self, outputs: tuple[Tensor, Values]) -> list[dict[str, Any]]:
        """Return the number of each image, and the sums, the same for all images."""
        return [{"number": number, **outputs[1]} for number in outputs[0]]

    @staticmethod
    def gvt_targets(index: int) -> Values:
        """Return the number to learn."""
        return {"neighbour": torch.tensor(float(index))}


def _sums(tree: Mapping[str, Any]) -> Values:
    return {name: value.detach().double().sum() for name, value in leaves(tree)}


@rule("head")
def neighbour(offer: Offer) -> None:
    """Beside another head on one backbone, both compute the same as alone, in either order."""
    built(offer)
    info = _backbone().feature_info
    head: Head = build(offer, facts={"feature_info": info})
    heads = {"head": head, "neighbour": Neighbour(info)}
    keys = _keys(head)
    own, both = _batches(head, keys, set()), _batches(head, keys, {*Neighbour.needs})
    try:
        alone = _done({"head": head}, *own)
    except (Failed, Skipped) as failed:
        raise Skipped(f"alone, {failed}; see the other rules") from failed
    except Exception as error:
        raise Skipped(f"alone, it raised {error_line(error)}; see the other rules") from error
    expected = _sum(alone, _done({"neighbour": heads["neighbour"]}, *both))
    for order in (heads, dict(reversed(heads.items()))):
        try:
            values = _done(order, *both)
        except Failed as failed:
            raise Failed(f"beside another head, its {failed}") from failed
        except Exception as error:
            raise Failed(f"beside another head, something raised {error_line(error)}") from error
        if odd := _odd(expected, values):
            raise Failed(
                f"beside another head, {listed(odd)} changes; the result of a head must depend "
                "only on the features, the batch and its own weights, and it must not change the "
                "inputs of other heads"
            )


def _done(heads: Mapping[str, Head], whole: Batch, halves: Batch) -> Values:
    """Return predictions and losses for a batch, and the gradients of training on another.

    Raises:
        Failed: If there is not one prediction for each image, or a loss is not finite.
        Exception: Any exception of a head.
    """
    backbone, heads = _backbone(), {name: _seeded(head) for name, head in heads.items()}
    task = MultiHead(backbone, heads)
    with evaluating(task):
        predictions, judged = task.evaluate(whole, Step(0, split="val"))
    if len(predictions) != len(whole):
        raise Failed(f"predictions are {len(predictions)} for {len(whole)} images")
    losses = {f"eval/{name}": loss for name, (loss, _) in judged.items()}
    for _, of_training in phases(task.train(), halves):
        check_finite(of_training, "in train mode")
        losses |= {f"train/{name}": loss.detach() for name, loss in of_training.items()}
    if len(heads) == 1:  # then its name is not part of the names of losses
        (name,) = heads
        losses = {key.replace("/", f"/{name}/", 1): loss for key, loss in losses.items()}
    gradients = {n: p.grad for n, p in task.named_parameters() if p.grad is not None}
    return {
        **dict(leaves(predictions, "predictions")),
        **losses,
        **{f"gradient of {name}": gradient for name, gradient in gradients.items()},
    }


def _seeded(head: Head) -> Head:
    """Return a copy that draws the same random numbers, regardless of the other heads."""
    head = copy.deepcopy(head)
    loss = head.loss

    def seeded(outputs: Any, targets: Targets) -> Values:
        seed_everything(0)
        return loss(outputs, targets)

    head.register_forward_pre_hook(lambda *_: seed_everything(0))
    head.loss = seeded  # type: ignore[method-assign]
    return head


def _sum(one: Values, other: Values) -> Values:
    """Return the values of both, with the gradients of their common backbone added up."""
    return {**one, **other, **{name: one[name] + other[name] for name in one.keys() & other.keys()}}


def _odd(expected: Values, values: Values) -> list[str]:
    """Return the names of values that differ: predictions bitwise, others by more than rounding."""
    names = [n for n in different(expected, values) if n.startswith("predictions/")]
    rest = {n for n in expected.keys() | values.keys() if not n.startswith("predictions/")}
    return names + sorted(n for n in rest if not _close(expected.get(n), values.get(n)))


def _close(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return False
    slack = 1e-5 * max(1.0, float(one.abs().max()))
    return torch.allclose(one, other, rtol=1e-4, atol=slack, equal_nan=True)


def _backbone() -> TinyBackbone:
    seed_everything(0)
    return TinyBackbone(SHAPE)


def _keys(head: Head) -> frozenset[str]:
    """Return the targets that a head learns from."""
    keys = frozenset(head.needs) or frozenset(TARGETS)
    if not keys <= {*TARGETS, *own_targets(head)(0)}:
        raise Skipped(f"it needs {', '.join(sorted(keys))}, which the kit cannot generate")
    return keys


def _batches(head: Head, own: Set[str], others: Set[str]) -> tuple[Batch, Batch]:
    """Return a batch whose images have all targets, and one with targets of a head in each half.

    A head without needs learns from every image.

    Args:
        head: The head under test.
        own: The targets that it learns from.
        others: The targets of its neighbour, none if it is alone.
    """
    teaches_it = {*(_FIRST if head.needs else _ALL)}
    halves = [
        {*(own if row in teaches_it else ()), *(others if row in _LAST else ())} for row in _ALL
    ]
    return _batch(head, [own | others] * _COUNT), _batch(head, halves)


def _batch(head: Head, keys: Sequence[Set[str]]) -> Batch:
    pictures = _Partly(
        keys, lambda index: {**own_targets(head)(index), **Neighbour.gvt_targets(index)}
    )
    return next(Streamed(pictures, CPU).batches([(0, torch.arange(_COUNT))]))


class _Partly(Pictures):
    """Images that each have targets of their own keys."""

    def __init__(
        self, keys: Sequence[Set[str]], own: Callable[[int], Mapping[str, Tensor]]
    ) -> None:
        super().__init__(SHAPE, sorted(frozenset[str]().union(*keys)), own=own)
        self._of_row = keys

    def __getitem__(self, index: int) -> Sample:
        """Return an image with the targets of its keys."""
        sample = super().__getitem__(index)
        targets = {k: v for k, v in sample.targets.items() if k in self._of_row[index]}
        return replace(sample, targets=targets)
