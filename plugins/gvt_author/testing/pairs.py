"""The rule that heads on one backbone do not notice each other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gvt.batch import Batch, Sample
from gvt.data.sources import Streamed
from gvt.heads.multihead import MultiHead
from gvt.interfaces import Head
from gvt.loop.evaluation import evaluating
from gvt.seeding import seed_everything
from gvt_author.testing.check import Failed, Skipped, rule, told
from gvt_author.testing.stand_ins import TARGETS, Pictures, TinyBackbone, own_targets
from gvt_author.testing.training import check_finite, different, phases
from gvt_author.testing.trial import CPU, SHAPE, build, built, leaves
from gvt_registry import Offer, default_registry

_COUNT = 4
_ALL, _FIRST, _LAST = (range(_COUNT), range(_COUNT // 2), range(_COUNT // 2, _COUNT))
"""Rows of a batch."""


@dataclass(frozen=True)
class _Done:
    """What a head does.

    Attributes:
        predictions: In eval mode.
        losses: In eval mode, as `eval/...`, and in training, `train/...`.
        gradients: Of training, by parameter.
    """

    predictions: dict[str, Tensor]
    losses: dict[str, Tensor]
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class _Together:
    """What heads on one backbone do, and its gradients."""

    heads: tuple[_Done, ...]
    backbone: dict[str, Tensor]


@rule("head")
def pairs(offer: Offer) -> None:
    """Beside each other installed head, on one backbone, both do what they do alone."""
    built(offer)
    if problem := _broken(offer):
        raise Skipped(f"alone, {problem}; see the other rules")
    if changed := _changed(offer):
        raise Failed(
            f"it changes {changed}, which the other heads are given; compute what it needs anew"
        )
    heads = [head for head in _installed() if not _broken(head) and not _changed(head)]
    for other in heads:
        if other == offer or not (problem := _problem(*sorted((offer, other), key=_name))):
            continue
        # A head that fails beside others, too, is wrong itself.
        third = [head for head in heads if head not in (offer, other)]
        if not any(_problem(*sorted((other, head), key=_name)) for head in third):
            raise Failed(
                f"together with {_name(other)}, {problem}; what a head computes follows from the "
                "features, the batch and its own weights, and it changes none that others have"
            )


def _installed() -> list[Offer]:
    return default_registry().offers("head")


def _name(offer: Offer) -> str:
    return f"head:{offer.component.name}"


@cache
def _broken(offer: Offer) -> str:
    """Return what is wrong with a head by itself, nothing if nothing is."""
    try:
        _alone(offer, _ALL)
    except (Failed, Skipped) as failed:
        return f"{failed}"
    except Exception as error:
        return f"it raised {told(error)}"
    return ""


@cache
def _changed(offer: Offer) -> str:
    """Return which of the features that it is given a head changes, or puts others in place of."""
    head = _built(offer)
    given: list[Mapping[str, Tensor]] = []
    maps: dict[str, Tensor] = {}
    before: dict[str, tuple[int, int]] = {}

    def note(_: Any, arguments: tuple[Any, ...]) -> None:
        given.append(arguments[0])
        maps.update(arguments[0])  # while they are held, no other one has the place of one
        before.update(_versions(maps))

    head.register_forward_pre_hook(note)
    task = MultiHead(_backbone(), {"head": head})
    with evaluating(task):
        task.evaluate(_batch({offer: _ALL}))
    after = _versions(given[0])
    changed = (n for n in (*before, *after) if before.get(n) != after.get(n))
    return next((f"features[{name!r}]" for name in changed), "")


def _versions(features: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Return which tensor each map is, and how often it was changed."""
    return {name: (id(value), value._version) for name, value in features.items()}


@cache
def _problem(one: Offer, other: Offer) -> str:
    """Return what two heads do otherwise together than each does alone, nothing if nothing."""
    offers, rows = (one, other), _rows(_keys(one), _keys(other))
    alone = [_alone(offer, of) for offer, of in zip(offers, rows, strict=True)]
    partial = _batch(dict(zip(offers, rows, strict=True)))
    try:
        together = _done([_built(o) for o in offers], _batch(dict.fromkeys(offers, _ALL)), partial)
    except Failed as failed:
        return f"the {failed}"
    except Exception as error:
        return f"something raised {told(error)}"
    return next(_differences(offers, alone, together), "")


def _differences(
    offers: Sequence[Offer], alone: Sequence[_Together], together: _Together
) -> Iterator[str]:
    for offer, by_itself, found in zip(offers, alone, together.heads, strict=True):
        (own,), name = by_itself.heads, _name(offer)
        for odd in different(own.predictions, found.predictions):
            yield f"{odd} of {name} is not what it is alone, to the bit"
        for odd in _apart(own.losses, found.losses):
            yield f"loss {odd!r} of {name} is not what it is alone"
        for odd in _apart(own.gradients, found.gradients):
            yield f"the gradient of {name}'s {odd!r} is not what it is alone"
    for odd in _apart(_sum(*(own.backbone for own in alone)), together.backbone):
        yield f"the gradient of the backbone's {odd!r} is not the sum of those of each alone"


@cache
def _alone(offer: Offer, rows: range) -> _Together:
    """Return what a head does alone, trained on those samples of a batch that are its own.

    Raises:
        Exception: Whatever a head that is wrong raises.
    """
    return _done([_built(offer)], _batch({offer: _ALL}), _batch({offer: rows}))


def _done(heads: Sequence[Head], whole: Batch, partial: Batch) -> _Together:
    """Return what heads do: judging a batch in their order, and training in the other one."""
    backbone, named = _backbone(), {f"head{n}": head for n, head in enumerate(heads)}
    for head in heads:  # each has the same dice, whoever throws before it
        head.register_forward_pre_hook(lambda *_: seed_everything(0))
        head.loss = _seeded(head.loss)  # type: ignore[method-assign]
    judging = MultiHead(backbone, named)
    with evaluating(judging):
        said, judged = judging.evaluate(whole)
    if len(said) != len(whole):
        raise Failed(f"predictions are {len(said)} for {len(whole)} images")
    losses = {f"eval/{name}": loss for name, (loss, _) in judged.items()}
    learning = MultiHead(backbone, dict(reversed(named.items())))
    for _, found in phases(learning.train(), partial):
        check_finite(found, "in train mode")
        losses |= {f"train/{name}": loss.detach() for name, loss in found.items()}
    if len(heads) == 1:
        (name,) = named
        said = [{name: image} for image in said]
        losses = {loss.replace("/", f"/{name}/", 1): value for loss, value in losses.items()}
    return _Together(
        tuple(
            _Done(
                dict(leaves([image[name] for image in said], "prediction")),
                {n.replace(f"/{name}/", "/"): v for n, v in losses.items() if f"/{name}/" in n},
                _gradients(head),
            )
            for name, head in named.items()
        ),
        _gradients(backbone),
    )


def _seeded(loss: Any) -> Any:
    def seeded(*arguments: Any) -> Any:
        seed_everything(0)
        return loss(*arguments)

    return seeded


def _gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


def _sum(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, Tensor]:
    both = {name: one[name] + other[name] for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def _apart(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield the names of tensors that are not the same but for rounding."""
    yield from sorted(wanted.keys() ^ found.keys())
    for name in wanted.keys() & found.keys():
        slack = 1e-5 * max(1.0, float(wanted[name].abs().max()))
        if not torch.allclose(wanted[name], found[name], rtol=1e-4, atol=slack, equal_nan=True):
            yield name


def _backbone() -> TinyBackbone:
    seed_everything(0)
    return TinyBackbone(SHAPE)


def _built(offer: Offer) -> Head:
    """Return a head on the kit's own backbone, a new one with the same weights each time."""
    return copy.deepcopy(_original(offer))


@cache
def _original(offer: Offer) -> Head:
    info = _backbone().feature_info
    head: Head = build(offer, facts={"feature_info": info})
    return head


def _keys(offer: Offer) -> frozenset[str]:
    """Return the targets that a head learns from."""
    keys = frozenset(_original(offer).needs) or frozenset(TARGETS)
    if not keys <= {*TARGETS, *own_targets(_original(offer))(0)}:
        raise Skipped(f"it needs {', '.join(sorted(keys))}, which nobody can make up")
    return keys


def _rows(one: frozenset[str], other: frozenset[str]) -> tuple[range, range]:
    """Return what two heads learn from: halves of a batch where their targets let them."""
    return (_FIRST if one - other else _ALL), (_LAST if other - one else _ALL)


def _batch(rows: Mapping[Offer, range]) -> Batch:
    """Return a batch in which the samples of these rows have what each head learns from."""
    known = {
        row: frozenset(key for offer, of in rows.items() if row in of for key in _keys(offer))
        for row in _ALL
    }
    own = [own_targets(_original(offer)) for offer in rows]
    pictures = _Partly(known, lambda index: {k: v for of in own for k, v in of(index).items()})
    return next(Streamed(pictures, CPU).batches([(0, torch.arange(_COUNT))]))


class _Partly(Pictures):
    """Pictures of which each has targets of its own; nobody can tell them apart otherwise."""

    def __init__(
        self, known: Mapping[int, frozenset[str]], own: Callable[[int], Mapping[str, Tensor]]
    ) -> None:
        super().__init__(SHAPE, frozenset.union(*known.values()), own=own)
        self._known = known

    def __getitem__(self, index: int) -> Sample:
        """Return one picture with the targets that it is to have."""
        sample = super().__getitem__(index)
        known = {k: v for k, v in sample.targets.items() if k in self._known[index]}
        return Sample(sample.image, known, sample.record)
