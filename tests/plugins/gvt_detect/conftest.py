"""Fixtures shared by the tests of several detectors."""

import pytest
import torch

import gvt


@pytest.fixture
def learn():
    """Return a function that trains a task on one batch, in its current mode."""

    def learning(task, batch, steps, lr):
        optimizer = torch.optim.Adam(task.parameters(), lr=lr)
        for index in range(steps):
            losses = task("supervised", batch, gvt.Step(index))
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()

    return learning
