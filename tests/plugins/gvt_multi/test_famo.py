"""FAMO, compared with the algorithm of the paper."""

import copy
import math
from itertools import pairwise

import pytest
import torch

import gvt

HEADS = ("a", "b", "c")
LOSSES = [[2.0, 0.5, 7.0], [1.8, 0.5, 6.0], [1.5, 0.49, 6.5], [1.6, 0.4, 3.0], [1.2, 0.41, 2.9]]
"""Losses of the three heads in five steps."""


def famo(heads=HEADS, **parameters):
    weighting = gvt.create("weighting", "famo", **parameters)
    for head in heads:
        weighting.add_head(head)
    return weighting


def factors(weighting):
    one = {"loss": torch.tensor(1.0)}
    return {head: weighting(head, one)["loss"].item() for head in weighting.heads}


def observe(weighting, **losses):
    """Let it observe the unscaled losses of a step, as it returns them."""
    scaled = {head: weighting(head, {"loss": torch.tensor(loss)}) for head, loss in losses.items()}
    weighting.observe({head: loss["loss"].item() for head, loss in scaled.items()})


def of_the_paper(losses, lr, decay):
    """Return logits and factors by algorithm 1 of the paper, with Adam, as the authors use it."""
    logits = torch.zeros(len(losses[0]), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=lr, weight_decay=decay)
    for before, after in pairwise(losses):
        fall = torch.tensor(before, dtype=torch.float64).log() - torch.tensor(after).log()
        (gradient,) = torch.autograd.grad(logits.softmax(dim=0), logits, fall)
        logits.grad = gradient
        adam.step()
    # The gradient of the sum of z log(L), with z / L scaled to the sum 1, and here to the mean 1.
    ratios = logits.detach().softmax(dim=0) / torch.tensor(losses[-1], dtype=torch.float64)
    return logits.detach(), ratios / ratios.sum() * len(ratios)


@pytest.mark.parametrize(("lr", "decay"), [(0.025, 1e-3), (0.5, 0.1)])
def test_it_is_the_algorithm_of_the_paper(lr, decay):
    weighting = famo(lr=lr, decay=decay)
    for row in LOSSES:
        observe(weighting, **dict(zip(HEADS, row, strict=True)))
    logits, expected = of_the_paper(LOSSES, lr, decay)
    assert [weighting.states[head].logit.item() for head in HEADS] == pytest.approx(
        logits.tolist(), rel=1e-4, abs=1e-6
    )
    assert list(factors(weighting).values()) == pytest.approx(expected.tolist(), rel=1e-4)


def test_first_the_losses_are_as_they_are_and_then_of_equal_size():
    weighting = famo()
    assert factors(weighting) == {"a": 1, "b": 1, "c": 1}
    observe(weighting, a=2.0, b=0.5, c=8.0)
    of_step = factors(weighting)
    assert [of_step["a"] * 2.0, of_step["b"] * 0.5] == pytest.approx([of_step["c"] * 8.0] * 2)
    assert sum(of_step.values()) == pytest.approx(3)


def test_a_head_whose_loss_falls_fast_gets_less():
    weighting = famo()
    for step in range(50):
        observe(weighting, a=math.exp(-0.1 * step), b=math.exp(-0.01 * step))
    states = weighting.states
    assert states["a"].logit < -0.1 < 0.1 < states["b"].logit


def test_all_losses_of_a_head_have_its_factor():
    weighting = famo(("a", "b"))
    observe(weighting, a=1.0, b=4.0)
    losses = weighting("b", {"ce": torch.tensor(3.0), "box": torch.tensor(1.0)})
    factor = factors(weighting)["b"]
    assert [loss.item() for loss in losses.values()] == pytest.approx([3 * factor, factor])


def test_a_head_without_samples_or_with_zero_loss_keeps_its_state():
    weighting, other = famo(), famo()
    for row in LOSSES:
        observe(weighting, **dict(zip(HEADS, row, strict=True)))
        observe(other, **dict(zip(HEADS, row, strict=True)))
    before = copy.deepcopy(weighting.states["b"].state_dict())
    observe(weighting, a=1.0, c=2.0)
    observe(other, a=1.0, b=0.0, c=2.0)
    after = weighting.states["b"].state_dict()
    for field in ("logit", "mean", "square", "steps", "loss"):
        assert torch.equal(before[field], after[field])
    assert factors(weighting) == factors(other)


def test_a_head_without_any_loss_so_far_has_factor_1():
    weighting = famo()
    for _ in range(3):
        observe(weighting, a=1.0, b=3.0)
    assert factors(weighting) == {
        "a": pytest.approx(1.5, rel=0.1),
        "b": pytest.approx(0.5, rel=0.1),
        "c": 1,
    }


def test_a_negative_loss_is_an_error():
    with pytest.raises(gvt.ConfigError, match=r"needs positive losses.* head b is -0.5; choose"):
        observe(famo(), a=1.0, b=-0.5, c=1.0)


def test_a_loss_that_is_not_finite_leaves_the_state_alone():
    weighting = famo()
    observe(weighting, a=1.0, b=2.0, c=3.0)
    before = factors(weighting)
    weighting.observe({"a": math.nan, "b": math.inf})
    assert factors(weighting) == before


@pytest.mark.parametrize("losses", [(1e-30, 1e30), (1e30, 1e-30)])
def test_losses_of_very_different_sizes_are_recovered(losses):
    weighting = famo(("a", "b"))
    observe(weighting, a=losses[0], b=losses[1])
    for _ in range(3):
        observe(weighting, a=1.0, b=2.0)
    assert weighting.states["a"].loss.item() == pytest.approx(1.0)
    assert weighting.states["b"].loss.item() == pytest.approx(2.0)
    assert all(math.isfinite(factor) and factor > 0 for factor in factors(weighting).values())


def test_a_copy_that_loads_its_state_goes_on_in_the_same_way():
    weighting, other = famo(), famo()
    for row in LOSSES[:3]:
        observe(weighting, **dict(zip(HEADS, row, strict=True)))
    other.load_state_dict(copy.deepcopy(weighting.state_dict()))
    for row in LOSSES[3:]:
        for one in (weighting, other):
            observe(one, **dict(zip(HEADS, row, strict=True)))
    assert all(torch.equal(t, other.state_dict()[n]) for n, t in weighting.state_dict().items())


def test_heads_can_be_added_and_removed():
    weighting = famo()
    for row in LOSSES:
        observe(weighting, **dict(zip(HEADS, row, strict=True)))
    weighting.remove_head("b")
    weighting.add_head("d")
    assert weighting.heads == ["a", "c", "d"]
    assert {name.split(".")[1] for name in weighting.state_dict()} == {"a", "c", "d"}
    assert factors(weighting)["d"] == 1
    observe(weighting, a=1.0, c=2.0, d=3.0)
    assert sum(factors(weighting).values()) == pytest.approx(3)
    assert not [*weighting.parameters()]
