"""Learned weights of the losses of heads."""

import math

import pytest
import torch

import gvt


@pytest.fixture
def weighting():
    weighting = gvt.create("weighting", "uncertainty")
    for head in ("name", "map"):
        weighting.add_head(head)
    return weighting


def test_it_is_the_formula_of_the_paper(weighting):
    with torch.no_grad():
        weighting.log_variances["name"].fill_(0.7)
    losses = weighting("name", {"ce": torch.tensor(2.0), "dice": torch.tensor(3.0)})
    assert {key: loss.item() for key, loss in losses.items()} == {
        "ce": pytest.approx(2 * math.exp(-0.7)),
        "dice": pytest.approx(3 * math.exp(-0.7)),
        "log_deviation": pytest.approx(0.35),
    }
    sum(losses.values()).backward()
    # d/ds (exp(-s) L + s / 2)
    slope = 0.5 - math.exp(-0.7) * 5
    assert weighting.log_variances["name"].grad.item() == pytest.approx(slope)
    assert weighting.log_variances["map"].grad is None


def test_at_first_the_losses_are_as_they_were(weighting):
    losses = weighting("map", {"ce": torch.tensor(0.3)})
    assert torch.equal(losses["ce"], torch.tensor(0.3))
    assert losses["log_deviation"].item() == 0


def test_a_head_without_losses_has_none(weighting):
    assert weighting("map", {}) == {}


def test_the_minimum_for_a_constant_loss_is_the_logarithm_of_twice_the_loss(weighting):
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        sum(weighting("name", {"ce": torch.tensor(4.0)}).values()).backward()
        optimizer.step()
    assert weighting.log_variances["name"].item() == pytest.approx(math.log(8), abs=1e-3)


def test_its_state_is_a_parameter_for_each_head(weighting):
    assert list(weighting.state_dict()) == ["log_variances.name", "log_variances.map"]
    weighting.remove_head("name")
    weighting.add_head("edge")
    assert weighting.heads == ["map", "edge"]
    assert list(weighting.state_dict()) == ["log_variances.map", "log_variances.edge"]
    assert not (weighting.uses_gradients or weighting.observes_losses)
