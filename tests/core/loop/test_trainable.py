"""What is frozen until a step stays as it is, and is trained from then on; each rate its own."""

import math

import pytest
import torch
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import EmaConfig
from gvt.loop.state import restore
from gvt.loop.trainable import Trainable, of_longest_name

CPU = gvt.Placement(torch.device("cpu"))


class Noise:
    """Sixteen grey 4x4 images of noise."""

    classes = ("a", "b")
    image_shape = (1, 4, 4)
    splits = ("train",)

    def __len__(self):
        return 16

    def tensors(self):
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (16, 1, 4, 4), dtype=torch.uint8, generator=source)
        return {"image": images}, {"class": torch.arange(16) % 2}

    def record(self, index):
        return gvt.Record(f"noise {index}", (4, 4))

    def __getitem__(self, index):
        inputs, targets = self.tensors()
        return gvt.Sample(
            {"image": inputs["image"][index]},
            {"class": targets["class"][index]},
            self.record(index),
        )


class Deep(gvt.Task):
    """A backbone of two blocks with batch norm and dropout, and a head."""

    phases = (gvt.Phase("model", trains=("backbone", "head"), optimizer="model"),)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(
            nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5)),
        )
        self.head = nn.Linear(4, 2)
        self.needed = []

    def forward(self, phase, batch, step):
        self.needed.append({n for n, p in self.named_parameters() if p.requires_grad})
        logits = self.head(self.backbone(batch.images).mean(dim=(2, 3)))
        return {"loss": nn.functional.cross_entropy(logits, batch.targets["class"])}


def trainer(task=None, folder=None, listeners=(), optimizer=None, **settings):
    train = gvt.TrainConfig(**{"steps": 6, "checkpoint_every": 1, **settings})
    loader = gvt.Loader(Noise(), gvt.DataConfig(name="noise", batch_size=4), train, CPU)
    config = gvt.OptimizerConfig(**{"name": "AdamW", "lr": 1e-2, **(optimizer or {})})
    checkpoints = CheckpointFolder(folder, 9, {"config": {}}) if folder else None
    return gvt.Trainer(
        *(task or Deep(), loader, {"model": config}, train, CPU),
        listeners=listeners,
        checkpoints=checkpoints,
    )


class Bits(gvt.Listener):
    """The state of the task after every step."""

    def __init__(self):
        self.states, self.modes = [], []

    def run_started(self, run):
        self.step_ended(run, {})

    def step_ended(self, run, losses):
        self.states.append({n: t.clone() for n, t in run.task.state_dict().items()})
        self.modes.append({n for n, m in run.task.named_modules() if m.training})

    def moved(self, step):
        """Return what the step moved, counted from 0."""
        before, after = self.states[step : step + 2]
        return {name for name in before if not torch.equal(before[name], after[name])}


def names(task, *prefixes):
    return {n for n in task.state_dict() if n.startswith(prefixes)}


def test_what_is_frozen_keeps_its_bits_until_its_step_comes():
    bits, task = Bits(), Deep()
    unfreeze = {"backbone": 4, "backbone.1": 2}
    trainer(task, listeners=[bits], unfreeze=unfreeze, optimizer={"weight_decay": 0.5}).fit()
    moved = [bits.moved(step) for step in range(6)]
    assert moved[0] == moved[1] == names(task, "head")
    assert moved[2] == moved[3] == names(task, "head", "backbone.1")
    assert moved[4] == moved[5] == names(task, "head", "backbone")
    # Running statistics and the count of batches are among them, and no gradient was computed.
    assert "backbone.1.1.running_mean" in moved[2]
    assert task.needed[0] == {"head.weight", "head.bias"}
    assert task.needed[4] == {n for n, _ in task.named_parameters()}
    assert all(p.requires_grad for p in task.parameters())


def test_what_is_frozen_computes_as_in_evaluation():
    bits = Bits()
    trainer(listeners=[bits], unfreeze={"backbone": 4, "backbone.1.2": 0}).fit()
    for modes in bits.modes[1:5]:
        assert {n for n in modes if n.startswith("backbone")} == {"backbone.1.2"}
    assert {"backbone", "backbone.0.1", "backbone.1"} <= bits.modes[5]


def test_a_hook_that_puts_all_into_train_mode_thaws_nothing():
    class Hook(gvt.Listener):
        def step_ended(self, run, losses):
            run.task.train()

    bits, task = Bits(), Deep()
    trainer(task, listeners=[Hook(), bits], unfreeze={"backbone": "never"}).fit()
    assert not {n for step in range(6) for n in bits.moved(step) if n.startswith("backbone")}


def test_a_single_parameter_may_be_frozen():
    bits, task = Bits(), Deep()
    trainer(task, listeners=[bits], unfreeze={"head.bias": "never"}).fit()
    assert not any("head.bias" in bits.moved(step) for step in range(6))
    assert all("head.weight" in bits.moved(step) for step in range(6))


def test_the_average_of_what_is_frozen_is_what_it_is():
    task = Deep()
    made = trainer(task, unfreeze={"backbone": "never"}, ema=EmaConfig(decay=0.7))
    before = {n: t.clone() for n, t in task.state_dict().items()}
    made.fit()
    for name in names(task, "backbone"):
        assert torch.equal(made.ema.tensors[name], before[name])


@pytest.mark.parametrize("middle", [1, 3, 5])
def test_resuming_while_parts_are_frozen_ends_with_the_same_bits(middle, tmp_path):
    settings = {
        "unfreeze": {"backbone": 4, "backbone.1": 2},
        "ema": EmaConfig(decay=0.9),
        "optimizer": {"rates": {"backbone": 0.1, "backbone.0": 0.01}, "warmup": 2},
        "clip_norm": 0.1,
    }
    undisturbed = trainer(folder=tmp_path, **settings)
    undisturbed.fit()
    resumed = trainer(**settings)
    restore(resumed, file.load(tmp_path / f"step_{middle:08d}.safetensors"))
    resumed.fit()
    for name, tensor in undisturbed.task.state_dict().items():
        assert torch.equal(tensor, resumed.task.state_dict()[name])
        assert torch.equal(undisturbed.ema.tensors[name], resumed.ema.tensors[name])


def test_a_phase_that_is_all_frozen_waits_while_others_are_trained():
    class Two(Deep):
        phases = (gvt.Phase("one", trains="backbone"), gvt.Phase("two", trains="head"))

        def forward(self, phase, batch, step):
            calls.append((step.index, phase))
            return super().forward(phase, batch, step)

    calls = []
    task = Two()
    train = gvt.TrainConfig(steps=3, unfreeze={"backbone": 2})
    loader = gvt.Loader(Noise(), gvt.DataConfig(name="noise", batch_size=4), train, CPU)
    sgd = gvt.OptimizerConfig(name="SGD", lr=0.1)
    gvt.Trainer(task, loader, {"backbone": sgd, "head": sgd}, train, CPU).fit()
    assert calls == [(0, "two"), (1, "two"), (2, "one"), (2, "two")]


def test_a_batch_that_only_teaches_what_is_frozen_moves_nothing():
    class Apart(Deep):
        phases = (gvt.Phase("m", trains=("backbone", "head", "other"), optimizer="model"),)

        def __init__(self):
            super().__init__()
            self.other = nn.Linear(1, 1)

        def forward(self, phase, batch, step):
            own = self.other(batch.images.mean().view(1, 1)).square().mean()
            return {"other": own} if step.index == 1 else super().forward(phase, batch, step)

    bits = Bits()
    unfreeze = {"other": "never"}
    trainer(Apart(), listeners=[bits], unfreeze=unfreeze, steps=3).fit()
    assert bits.moved(1) == set()
    assert "head.weight" in bits.moved(2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"unfreeze": {"bakbone": 3}}, r"train\.unfreeze: .*'bakbone'; did you mean 'backbone'"),
        ({"unfreeze": {"backbone": 3, "head": 5}}, "nothing would be trained in the first step"),
        ({"optimizer": {"rates": {"hed": 2.0}}}, r"model\.rates: .*'hed'; did you mean 'head'"),
    ],
)
def test_a_name_that_is_none_is_one_line(settings, says):
    with pytest.raises(gvt.ConfigError, match=says):
        trainer(**settings)


def test_an_optimizer_that_would_never_train_is_one_line():
    class Two(Deep):
        phases = (gvt.Phase("one", trains="backbone"), gvt.Phase("two", trains="head"))

    train = gvt.TrainConfig(steps=3, unfreeze={"backbone": 3})
    loader = gvt.Loader(Noise(), gvt.DataConfig(name="noise", batch_size=4), train, CPU)
    sgd = gvt.OptimizerConfig(name="SGD", lr=0.1)
    with pytest.raises(gvt.ConfigError, match=r"optimizers\.backbone: everything .* is frozen"):
        gvt.Trainer(Two(), loader, {"backbone": sgd, "head": sgd}, train, CPU)


def test_the_longest_name_counts_and_names_end_at_dots():
    given = {"backbone": 1, "backbone.stage1": 2, "backbone.stage1.conv.weight": 3}
    assert of_longest_name("backbone.stage1.conv.weight", given, 0) == 3
    assert of_longest_name("backbone.stage1.conv.bias", given, 0) == 2
    assert of_longest_name("backbone.stage10.conv.weight", given, 0) == 1
    assert of_longest_name("backbones.weight", given, 0) == 0


def test_what_a_user_froze_is_none_of_the_trainable():
    task = Deep()
    task.head.bias.requires_grad_(False)
    trainable = Trainable(task, {"backbone": "never"})
    assert "head.bias" not in trainable.parameters
    assert len(trainable.of(("head",), 10**9)) == 1
    assert len(trainable.of(("backbone",), math.inf)) == 8
    assert trainable.of(("backbone",), 10**9) == []


def test_what_two_submodules_share_is_trained_with_each_and_frozen_with_either():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            trunk = nn.Linear(1, 1)
            self.one = nn.Sequential(trunk, nn.Linear(1, 1))
            self.other = nn.Sequential(trunk, nn.Linear(1, 1))

    task = Two()
    shared = task.one[0].weight
    both = Trainable(task, {})
    assert all(any(p is shared for p in both.of((name,), 0)) for name in ("one", "other"))
    frozen = Trainable(task, {"other": "never"})
    assert not any(p is shared for p in frozen.of(("one",), 0))
    assert Trainable(task, {"other.0": 3}).of(("other.0",), 3)
