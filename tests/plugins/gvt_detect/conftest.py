"""What tests of several detectors share."""

import pytest
import torch

import gvt


@pytest.fixture
def learn():
    """Return what trains a task on one batch, in train mode or whichever it is in."""

    def learning(task, batch, steps, lr):
        optimizer = torch.optim.Adam(task.parameters(), lr=lr)
        for index in range(steps):
            losses = task("supervised", batch, gvt.Step(index))
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()

    return learning
