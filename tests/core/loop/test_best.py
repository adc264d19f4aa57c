"""The best evaluation, and a run that ends when no better one comes."""

import json

import pytest
import torch
from torch import nn

import gvt
from gvt.checkpoint import file
from gvt.checkpoint.training import CheckpointFolder
from gvt.config import EvaluateConfig
from gvt.loop.best import note_best
from gvt.loop.figures import Figure
from gvt.loop.listener import Run
from gvt.loop.state import restore

pytestmark = pytest.mark.usefixtures("drawn")

CPU = gvt.Placement(torch.device("cpu"))


class Blank:
    """Eight black pictures."""

    classes = ("a",)
    image_shape = (1, 2, 2)
    splits = ("train", "val", "test")

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = torch.zeros(1, 2, 2, dtype=torch.uint8)
        return gvt.Sample(
            {"image": image}, {"class": torch.tensor(0)}, gvt.Record(f"{index}", (2, 2))
        )


class Scripted(gvt.Task):
    """Its score after each step is written down beforehand."""

    phases = (gvt.Phase("only", trains="layer"),)

    def __init__(self, scores):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.register_buffer("done", torch.tensor(0))
        self.scores = scores

    def forward(self, phase, batch, step):
        self.done += 1
        return {"loss": self.layer(batch.images.mean().view(1, 1)).square().mean()}

    def evaluate(self, batch, step):
        score = torch.tensor(self.scores[int(self.done) - 1] if self.done else 0.0)
        return [], {"score": (score, len(batch))}


SCORES = [1.0, 3.0, 2.0, 2.5, 3.0, 1.0, 9.0, 9.0]


def trainer(scores=SCORES, folder=None, listeners=(), steps=8, **evaluate):
    train = gvt.TrainConfig(steps=steps, checkpoint_every=1)
    loader = gvt.Loader(Blank(), gvt.DataConfig(name="blank", batch_size=4), train, CPU)
    settings = {"split": "val", "every": 1, "best": "loss/score", "patience": 3, **evaluate}
    return gvt.Trainer(
        *(Scripted(scores), loader, {"layer": gvt.OptimizerConfig(name="SGD", lr=0.1)}, train, CPU),
        evaluation=EvaluateConfig(**settings),
        open_split=lambda split: loader.held_out(Blank()),
        checkpoints=CheckpointFolder(folder, 9, {"config": {}}) if folder else None,
        listeners=listeners,
    )


class Log(gvt.Listener):
    def __init__(self):
        self.events = []

    def evaluated(self, run, split, evaluation):
        self.events.append((run.step, split))

    def checkpoint_saved(self, run, path):
        self.events.append((run.step, "saved"))

    def run_ended(self, run, error):
        self.events.append((run.step, run.outcome))


def test_a_run_ends_after_so_many_evaluations_without_a_better_one(tmp_path):
    log = Log()
    run = trainer(folder=tmp_path, listeners=[log], final="test").fit()
    # The best is that of step 2; an equal one, in step 5, is none better.
    assert (run.step, run.best) == (5, {"value": 3.0, "step": 2})
    assert (run.outcome, run.total_steps, run.is_complete) == ("success", 8, True)
    assert "loss/score has not become better in 3 evaluations" in run.stopped_early
    assert "3.0000 at step 2" in run.stopped_early
    assert log.events[-4:] == [(5, "val"), (5, "test"), (5, "saved"), (5, "success")]
    assert file.load(tmp_path / "best.safetensors")[0]["training"]["step"] == 2


@pytest.mark.parametrize("middle", [1, 2, 4])
def test_a_resumed_run_ends_where_the_undisturbed_one_does(middle, tmp_path):
    trainer(folder=tmp_path).fit()
    resumed = trainer()
    restore(resumed, file.load(tmp_path / f"step_{middle:08d}.safetensors"))
    assert resumed.fit().step == 5


def test_one_that_has_ended_goes_on_with_more_patience_only(tmp_path):
    trainer(folder=tmp_path).fit()
    state = file.load(tmp_path / "last.safetensors")
    for steps in (8, 20):
        again = trainer(steps=steps)
        restore(again, state)
        assert again.fit().step == 5
        assert again.run.outcome == "success"
    patient = trainer(patience=4)
    restore(patient, state)
    assert patient.fit().step == 6
    endless = trainer(patience=None)
    restore(endless, state)
    assert endless.fit().step == 8


def test_patience_counts_evaluations_and_not_steps():
    scores = [0.0, 5.0, 0.0, 4.0, 0.0, 3.0, 0.0, 2.0]
    assert trainer(scores, every=2, patience=2).fit().step == 6
    assert trainer(scores, every="epoch", patience=2).fit().step == 6  # of two steps
    assert trainer(scores, every=2, patience=4).fit().step == 8


def test_smaller_may_be_better():
    assert trainer([4.0, 3.0, 3.5, 3.2, 2.0] + 3 * [3.0], mode="min", patience=2).fit().step == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_not_finite_is_never_the_best(value, mode):
    config, run = EvaluateConfig(split="val", best="f1", mode=mode), Run(nn.Identity(), 9, 3, 1)

    def is_best(**metrics):
        return note_best(config, run, gvt.Evaluation(metrics, figures={"held_out": Figure("loss")}))

    with pytest.warns(UserWarning, match=rf"step 0: f1 is {value}, so it cannot be the best"):
        assert not is_best(f1=value, held_out=1.0)
    with pytest.warns(UserWarning, match=rf"held_out is {value}"):
        assert not is_best(f1=0.5, held_out=value)
    assert run.best is None
    run.step = 3
    assert is_best(f1=0.5, iou_of_absent=float("nan"), held_out=1.0)
    with pytest.warns(UserWarning, match="f1"):
        assert not is_best(f1=value)
    assert run.best == {"value": 0.5, "step": 3}


@pytest.mark.parametrize("mode", ["min", "max"])
def test_best_is_the_best_finite_one_and_last_is_saved_all_the_same(tmp_path, mode):
    nan, inf = float("nan"), float("inf")
    scores = [nan, 2.0, inf, -inf, 2.0, nan]
    with pytest.warns(UserWarning, match="cannot be the best"):
        run = trainer(scores, tmp_path, steps=6, patience=None, mode=mode).fit()
    assert run.best == {"value": 2.0, "step": 2}
    assert file.load(tmp_path / "best.safetensors")[0]["training"]["step"] == 2
    assert file.load(tmp_path / "last.safetensors")[0]["training"]["step"] == 6


def test_an_infinite_best_of_an_older_version_is_forgotten(tmp_path):
    trainer(folder=tmp_path, steps=2).fit()
    document, tensors = file.load(tmp_path / "last.safetensors")
    document["training"]["best"] = {"value": float("inf"), "step": 1}
    again = trainer(steps=2)
    restore(again, (document, tensors))
    assert again.run.best is None


@pytest.mark.slow
def test_by_hand_it_says_so_and_how_to_go_on(tmp_path, capsys):
    # With a rate of next to nothing the first evaluation stays the best one.
    run = gvt.run(
        "classify.mnist",
        *("data.classes=[3, 5]", "data.holdout=500", "data.batch_size=32", "train.steps=30"),
        *("evaluate.split=val", "evaluate.every=2", "evaluate.patience=2", "evaluate.final=test"),
        *("optimizers.model.lr=1e-12", f"run.root={tmp_path}"),
    )
    assert (run.step, run.outcome) == (6, "success")
    assert "stopped early at step 6: accuracy has not become better" in capsys.readouterr().err
    rows = [json.loads(row) for row in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "test/accuracy" in row] == [6]
    report = (run.folder / "report.html").read_text()
    assert "Finished at step 6 of 30" in report
    assert "accuracy has not become better in 2 evaluations" in report
    assert gvt.resume(run.folder).step == 6
    said = capsys.readouterr().err
    assert f"to go on: gvt resume {run.folder} evaluate.patience=null" in said
    assert gvt.resume(run.folder, "evaluate.patience=3", quiet=True).step == 8


@pytest.mark.parametrize(
    "settings", [{"split": "val"}, {"split": "val", "best": "f1", "every": None}]
)
def test_patience_needs_something_to_wait_for(settings):
    with pytest.raises(ValueError, match="patience needs best"):
        EvaluateConfig(**settings, patience=3)
