"""An optimiser of a plugin: trained, resumed, recorded, and compared with torch's own."""

import importlib
import math
from pathlib import Path

import pytest
import torch
from torch import nn

import gvt
from gvt.checkpoint import load
from gvt.config.schema import OptimizerConfig
from gvt.loop.optim import Optimizer
from gvt_registry import UnknownComponent, default_registry

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def muon(monkeypatch):
    """Offer the optimiser for one test."""
    monkeypatch.setattr(default_registry(), "_in_code", {})
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = importlib.import_module("muon")
    default_registry().register(module.gvt_components())
    return module


class Small(nn.Module):
    """A convolution and a dense layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.filters = nn.Conv2d(2, 4, 3)
        self.dense = nn.Linear(16, 3)

    def forward(self, images):
        return self.dense(self.filters(images).relu().flatten(1))


def steps(model, optimizer, count=4):
    """Take some steps on the same images."""
    images = torch.rand(6, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()


def test_matrices_and_filters_move_as_with_torch(muon):
    ours, theirs = Small(), Small()
    flat = nn.Parameter(theirs.filters.weight.detach().flatten(1).clone())
    named = [(name, p) for name, p in ours.named_parameters() if name.endswith("weight")]
    optimizer = muon.Muon(named, lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon([flat, theirs.dense.weight], lr=0.02, weight_decay=0.1)
    source = torch.Generator().manual_seed(2)
    for _ in range(4):
        for (_, one), other in zip(named, (flat, theirs.dense.weight), strict=True):
            one.grad = torch.randn(one.shape, generator=source)
            other.grad = one.grad.view(other.shape).clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours.filters.weight.flatten(1), flat)
    torch.testing.assert_close(ours.dense.weight, theirs.dense.weight)


def test_all_others_move_as_with_adam(muon):
    ours, theirs = Small(), Small()
    named = list(ours.named_parameters())
    optimizer = muon.Muon(named, lr=0.02, adam=["filters", "dense"], adam_rate=0.5)
    steps(ours, optimizer)
    steps(theirs, torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.95)))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_names_and_the_rates_are_those_of_the_task(muon):
    model = Small()
    config = OptimizerConfig(
        name="muon", lr=0.1, adam=["dense"], rates={"filters": 0.5}, schedule={"name": "ConstantLR"}
    )
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = Optimizer("model", dict(model.named_parameters()), config, 10, scaler)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.backward(model(torch.rand(6, 2, 4, 4)).square().mean())
    optimizer.step(None, None)
    # A step of Adam begins with the learning rate itself, one of Muon has a norm of about 1.
    rate = 0.1 / 3  # of the schedule's first step
    adam = (model.dense.weight - before["dense.weight"]).abs().max()
    assert adam.item() == pytest.approx(rate * 0.1, rel=1e-3)
    filters = (model.filters.weight - before["filters.weight"]).flatten(1)
    moved = torch.linalg.svdvals(filters.detach()) / (rate * 0.5)
    assert moved.min() > 0.5 and moved.max() < 1.3
    assert math.isclose(optimizer.learning_rate, rate)


SETTINGS = (
    *("device=cpu", "data.workers=0", "data.batch_size=8", "train.epochs=null", "evaluate={}"),
    "optimizers.model={name: muon, lr: 0.02, adam: [heads], rates: {heads: 0.5}, warmup: 2}",
    *("train.checkpoint_every=3", "train.keep=2", "train.ema={decay: 0.9}", "train.clip_norm=1"),
)


def test_a_run_resumes_bitwise_and_records_whose_it_was(muon, tmp_path):
    """Filters, matrices and biases; a moving average, clipped gradients, a warm-up and rates."""
    run = gvt.run("classify.mnist", *SETTINGS, "train.steps=6", f"run.root={tmp_path}", quiet=True)
    whole = load(run.checkpoint)[1]
    (run.folder / "checkpoints" / "last.safetensors").unlink()
    (middle,) = run.folder.glob("checkpoints/step_*3.safetensors")
    again = load(gvt.resume(middle, quiet=True).checkpoint)
    assert again[1].keys() == whole.keys()
    assert all(torch.equal(whole[name], again[1][name]) for name in whole)

    document = again[0]
    assert document["components"]["optimizer:muon"] == "registered in code"
    recorded = document["config"]["optimizers"]["model"]
    assert (recorded["momentum"], recorded["adam_rate"]) == (0.95, 0.1)  # defaults may change
    assert "params" not in recorded

    default_registry()._in_code.clear()
    assert len(gvt.open(run.checkpoint).task.state_dict())  # a model needs no optimiser
    with pytest.raises(UnknownComponent, match=r"no optimizer is called 'muon'.*trained with reg"):
        gvt.resume(run.folder, "train.steps=7", quiet=True)
