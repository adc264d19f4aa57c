"""Optimisers by torch's names, with torch's fastest kernels."""

import pytest
import torch
from torch import nn

from gvt.config.schema import OptimizerConfig
from gvt.loop.optim import Optimizer


def trained(steps=5, frozen_until=0, **config):
    """Return a network after some steps on the same data, and what optimised it.

    Its first layer has a gradient from step `frozen_until` on.
    """
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten())
    network.to(memory_format=torch.channels_last)
    parameters = dict(network.named_parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = Optimizer("model", parameters, OptimizerConfig(**config), steps, scaler)
    images = torch.rand(4, 3, 8, 8)
    for step in range(steps):
        network[0].requires_grad_(step >= frozen_until)
        optimizer.zero_grad()
        optimizer.backward(network(images).square().mean())
        optimizer.step(None, None)
    return network, optimizer.torch


@pytest.mark.parametrize(
    "config",
    [
        {"name": "Adam", "lr": 1e-2},
        {"name": "AdamW", "lr": 1e-2, "weight_decay": 0.1},
        {"name": "SGD", "lr": 1e-1},
        {"name": "SGD", "lr": 1e-1, "momentum": 0.9, "nesterov": True},
    ],
)
def test_the_fused_kernel_is_taken_and_computes_the_same(config):
    fused, optimizer = trained(**config)
    assert optimizer.param_groups[0]["fused"] is True
    plain, optimizer = trained(**config, fused=False)
    assert optimizer.param_groups[0]["fused"] is False
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_that_begins_late_is_that_of_the_plain_kernel(nesterov):
    config = {"name": "SGD", "lr": 1e-1, "momentum": 0.9, "nesterov": nesterov}
    fused, optimizer = trained(**config, frozen_until=2)
    assert optimizer.param_groups[0]["fused"] is True
    plain, _ = trained(**config, frozen_until=2, fused=False)
    for one, other in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_with_dampening_the_fused_kernel_is_not_taken():
    _, optimizer = trained(name="SGD", lr=1e-1, momentum=0.9, dampening=0.5, frozen_until=2)
    assert not optimizer.param_groups[0]["fused"]


@pytest.mark.parametrize(
    "config", [{"name": "RMSprop", "lr": 1e-3}, {"name": "Adam", "lr": 1e-3, "foreach": True}]
)
def test_what_is_asked_for_is_taken_and_what_has_no_kernel_left_alone(config):
    _, optimizer = trained(**config)
    assert not optimizer.param_groups[0].get("fused")


class Pair(nn.Module):
    """Two equal dense layers, each on its own way to the output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
        self.b.load_state_dict(self.a.state_dict())

    def forward(self, x):
        return self.a(x) + self.b(x)


def pair(steps, **config):
    """Return a pair and its optimiser after some steps, with the rates of each step."""
    network = Pair()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    parameters = dict(network.named_parameters())
    optimizer = Optimizer("model", parameters, OptimizerConfig(**config), 10, scaler)
    for _ in range(steps):
        optimizer.zero_grad()
        optimizer.backward((network(torch.ones(3, 2)) - 1).square().mean())
        optimizer.step(None, None)
        optimizer.advance()
    return network, optimizer


SCHEDULES = [
    None,
    {"name": "ExponentialLR", "gamma": 0.7},
    {"name": "CosineAnnealingLR", "T_max": "auto", "eta_min": 0.05},
    {"name": "OneCycleLR", "max_lr": 0.2, "total_steps": "auto"},
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_factor_scales_every_step_of_every_schedule(schedule):
    network, optimizer = pair(6, name="SGD", lr=0.1, schedule=schedule, rates={"b": 0.25})
    start = Pair()
    # Both see the same gradients, so that one moves a quarter as far as the other.
    for name in ("weight", "bias"):
        moved = [getattr(net, name) - getattr(start.a, name) for net in (network.a, network.b)]
        torch.testing.assert_close(moved[1], moved[0] / 4)
    plain = pair(6, name="SGD", lr=0.1, schedule=schedule)[1]
    assert optimizer.learning_rate == plain.learning_rate


def test_the_rates_are_those_of_a_reference():
    network, _ = pair(5, name="AdamW", lr=0.1, weight_decay=0.3, rates={"b": 0.2, "b.bias": 0.5})
    reference = Pair()
    groups = [
        {"params": list(reference.a.parameters()), "lr": 0.1},
        {"params": [reference.b.weight], "lr": 0.1 * 0.2},
        {"params": [reference.b.bias], "lr": 0.1 * 0.5},
    ]
    adam = torch.optim.AdamW(groups, weight_decay=0.3, fused=True)
    for _ in range(5):
        adam.zero_grad()
        (reference(torch.ones(3, 2)) - 1).square().mean().backward()
        adam.step()
    for one, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_state_goes_back_to_the_parameters_that_it_is_of():
    config = {"name": "Adam", "lr": 0.1, "rates": {"a.weight": 0.5, "b": 0.2}}
    optimizer = pair(3, **config)[1]
    tensors, values = optimizer.state()
    other = pair(0, **config)[1]
    other.load_state(tensors, values)
    again, _ = other.state()
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    for name, parameter in other.parameters.items():
        assert torch.equal(other.torch.state[parameter]["exp_avg"], tensors[f"{name}/exp_avg"])
