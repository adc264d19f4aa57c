"""Checkpoints are finite, and errors name the checkpoint to resume from."""

import json
import sys

import pytest
import torch
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.cli.main import main
from gvt.finite import infinite_places, infinite_weights
from gvt.loop.remedy import advise

INF, NAN = float("inf"), float("nan")
SMALL = [
    *("data.classes=[3, 5]", "data.holdout=500", "data.batch_size=32", "evaluate.final=null"),
    *("backbone.widths=[4, 4]", "heads.digit.hidden=[4]"),
]


class Norms(nn.Module):
    """A batch norm, a causal mask, and a complex weight."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.register_buffer("mask", torch.full((3, 3), -INF).triu(1))
        self.phase = nn.Parameter(torch.zeros(2, dtype=torch.complex64))


def test_infinite_masks_may_stay_infinite():
    module = Norms()
    places = infinite_places(module)
    assert places.keys() == {"mask"}
    assert infinite_weights(1, module.state_dict(), places) is None


@pytest.mark.parametrize("value", [INF, -INF, NAN])
@pytest.mark.parametrize(
    "name", ["norm.running_var", "norm.running_mean", "norm.weight", "mask", "phase"]
)
def test_everything_else_is_refused(name, value):
    module = Norms()
    places = infinite_places(module)
    with torch.no_grad():
        module.state_dict()[name].view(-1)[0] = value
    step, message = infinite_weights(7, module.state_dict(), places)
    assert step == 7
    assert message.startswith(f"{name} is not finite after step 7; lower")


def test_a_mask_that_grew_may_be_infinite_and_not_nan():
    module = Norms()
    places = infinite_places(module)
    module.mask = torch.full((5, 5), -INF).triu(1)
    assert infinite_weights(1, module.state_dict(), places) is None
    module.mask[0, 0] = NAN
    assert "mask" in infinite_weights(1, module.state_dict(), places)[1]


def test_shared_buffers_are_listed_by_both_names():
    module = nn.ModuleDict({"a": Norms(), "b": Norms()})
    module["b"].mask = module["a"].mask
    assert infinite_weights(1, module.state_dict(), infinite_places(module)) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = f"run.root={tmp_path_factory.mktemp('runs')}"
    settings = ("train.steps=2", "train.checkpoint_every=1", "train.keep=2", "train.ema={}")
    return gvt.run("classify.mnist", *SMALL, *settings, root, quiet=True)


def test_infinite_statistics_are_not_saved_by_hand_either(run, tmp_path):
    task = gvt.load(run.checkpoint)
    task.backbone.extra = Norms()
    task.backbone.extra.norm.running_var[0] = INF
    with pytest.raises(gvt.NonFiniteError, match=r"extra\.norm\.running_var is not finite"):
        gvt.save(task, tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def rewritten(path, **metrics):
    """Give a checkpoint other metrics."""
    document, tensors = file.load(path)
    document["training"]["metrics"] = {**document["training"]["metrics"], **metrics}
    file.save(path, tensors, document)


def test_advice_names_the_newest_checkpoint_with_finite_held_out_losses(run):
    folder = CheckpointFolder(run.folder / "checkpoints")
    config = run.config.train
    command = run.resume_command
    advised = advise(run, folder, config, "float32")
    assert advised == f"continue from step 2 with: {command} train.clip_norm=1"
    assert run.resume_command == f"{command} train.clip_norm=1"

    run.resume_command = command
    numbered = folder.folder / "step_00000001.safetensors"
    rewritten(folder.last, **{"val/loss/digit/cross_entropy": NAN})
    rewritten(folder.folder / "step_00000002.safetensors", **{"val/loss/x": INF})
    rewritten(folder.folder / "best.safetensors", **{"val/loss/x": INF})
    rewritten(numbered, **{"val/accuracy/7": NAN})  # of a class that does not occur
    settings = config.model_copy(update={"clip_norm": 0.5})
    advised = advise(run, folder, settings, "float32")
    assert advised == f"continue from step 1 with: gvt resume {numbered} train.clip_norm=0.05"

    run.resume_command = command
    assert advise(run, folder, settings, "bfloat16").endswith(" train.precision=float32")

    numbered.write_bytes(numbered.read_bytes()[:-1])
    assert advise(run, folder, settings, "float32") == (
        "no checkpoint can be used: start a new run"
    )


def test_a_run_that_diverges_says_how_to_continue_and_that_works(tmp_path, monkeypatch, capsys):
    words = ["run", "classify.mnist", *SMALL, "train.steps=9", "train.checkpoint_every=1"]
    words += ["optimizers.model={name: SGD, lr: 1e30}", f"run.root={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["gvt", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (folder,) = (tmp_path / "classify.mnist").iterdir()
    error = capsys.readouterr().err.splitlines()[-1]
    advised = f"gvt resume {folder} train.clip_norm=1"
    assert error.startswith("error: ")
    assert error.endswith(f"; continue from step 1 with: {advised}")
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["resume"] == advised
    for path in (folder / "checkpoints").iterdir():
        assert all(t.isfinite().all() for t in file.load(path)[1].values())


class Broken(gvt.Task):
    """A task whose batch norm variance becomes infinite after the second step."""

    phases = (gvt.Phase("only", trains="layer"),)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("mask", torch.tensor([0.0, -INF]))

    def forward(self, phase, batch, step):
        if step.index == 1:
            self.norm.running_var.fill_(INF)
        return {"loss": self.layer(batch.images.mean().view(1, 1)).square().mean()}


class Blank:
    """Eight black images."""

    classes = ("a",)
    image_shape = (1, 2, 2)
    splits = ("train",)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.zeros(1, 2, 2, dtype=torch.uint8)
        return gvt.Sample(
            {"image": image}, {"class": torch.tensor(0)}, gvt.Record(f"{index}", (2, 2))
        )


@pytest.mark.parametrize("ema", [None, {}])
def test_infinite_statistics_end_a_run_and_are_not_saved(tmp_path, ema):
    cpu = gvt.Placement(torch.device("cpu"))
    train = gvt.TrainConfig(steps=4, checkpoint_every=1, ema=ema)
    loader = gvt.Loader(Blank(), gvt.DataConfig(name="blank", batch_size=4), train, cpu)
    optimizers = {"layer": gvt.OptimizerConfig(name="SGD", lr=0.1)}
    checkpoints = CheckpointFolder(tmp_path)
    trainer = gvt.Trainer(Broken(), loader, optimizers, train, cpu, checkpoints=checkpoints)
    with pytest.raises(
        gvt.NonFiniteError, match=r"task/norm\.running_var .* after step 2"
    ) as caught:
        trainer.fit()
    assert str(caught.value).endswith(f"usable checkpoint is {checkpoints.last}, of step 1")
    tensors = file.load(checkpoints.last)[1]
    assert tensors["task/mask"].tolist() == [0.0, -INF]
    assert tensors["task/norm.running_var"].tolist() == [1.0]
