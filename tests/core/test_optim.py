"""Optimisers by torch's names, with torch's fastest kernels."""

import pytest
import torch
from torch import nn

from gvt.config.schema import OptimizerConfig
from gvt.optim import Optimizer


def trained(steps=5, **config):
    """Return a network after some steps on the same data, and what optimised it."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten())
    network.to(memory_format=torch.channels_last)
    parameters = dict(network.named_parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = Optimizer("model", parameters, OptimizerConfig(**config), steps, scaler)
    images = torch.rand(4, 3, 8, 8)
    for _ in range(steps):
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


@pytest.mark.parametrize(
    "config", [{"name": "RMSprop", "lr": 1e-3}, {"name": "Adam", "lr": 1e-3, "foreach": True}]
)
def test_what_is_asked_for_is_taken_and_what_has_no_kernel_left_alone(config):
    _, optimizer = trained(**config)
    assert not optimizer.param_groups[0].get("fused")
