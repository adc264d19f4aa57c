"""The log of a run, and what happens where it cannot be written."""

import json

import pytest
import torch

import gvt
from gvt.loop.figures import Figure
from gvt.loop.listener import Run
from gvt.runs.folder import RunFolder
from gvt.runs.recorder import Recorder
from gvt_report.log import read_log


def test_the_training_split_evaluated_is_held_apart_from_the_training(tmp_path):
    recorder = Recorder(RunFolder(tmp_path))
    run = Run(torch.nn.Module(), 9, 3, 4, step=3)
    recorder.losses_read(run, [(3, {"accuracy": 0.1})])
    recorder.evaluated(run, "train", gvt.Evaluation({"accuracy": 0.9}))
    curves = read_log(tmp_path / "metrics.jsonl").curves
    assert curves == {"train/accuracy": [(3, 0.1)], "train_eval/accuracy": [(3, 0.9)]}


def test_a_figure_is_described_where_it_first_occurs(tmp_path):
    recorder, path = Recorder(RunFolder(tmp_path)), tmp_path / "metrics.jsonl"
    run = Run(torch.nn.Module(), 9, 3, 4, learning_rates={"model": 0.5})
    found = gvt.Evaluation(
        {"iou/cat": 0.5, "loss/a": 1.0, "iou/7": 0.25},
        figures={"iou/cat": Figure("metric", "cat"), "loss/a": Figure("loss")},
    )
    for run.step in (2, 4):
        recorder.losses_read(run, [(run.step - 1, {"a": 1.0}), (run.step, {"a": 0.5, "b": 2.0})])
        recorder.evaluated(run, "val", found)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["step"] for row in rows if "figures" in row] == [1, 2]
    assert read_log(path).figures == {
        "train/a": Figure("training loss"),
        "train/b": Figure("training loss"),
        "lr/model": Figure("learning rate"),
        "val/iou/cat": Figure("metric", "cat"),
        "val/loss/a": Figure("loss"),
        "val/iou/7": Figure("metric"),
    }
    assert all(isinstance(row.pop("figures", {}), dict) for row in rows)
    assert rows[-2:] == [
        {"step": 4, "epoch": 1, "train/a": 0.5, "train/b": 2.0, "lr/model": 0.5},
        {"step": 4, "val/iou/cat": 0.5, "val/loss/a": 1.0, "val/iou/7": 0.25},
    ]


def test_a_cosine_between_gradients_is_not_a_loss(tmp_path):
    recorder, path = Recorder(RunFolder(tmp_path)), tmp_path / "metrics.jsonl"
    losses = {"cosine/digits/ink": -0.5, "cosine/loss": 1.0, "digits/cosine": 0.5, "cosine": 2.0}
    recorder.losses_read(Run(torch.nn.Module(), 9, 3, 4), [(1, losses)])
    kinds = {name: figure.kind for name, figure in read_log(path).figures.items()}
    assert kinds.pop("train/cosine/digits/ink") == "cosine"
    assert kinds == {
        f"train/{n}": "training loss" for n in ("cosine/loss", "digits/cosine", "cosine")
    }


def test_an_end_that_cannot_be_noted_is_a_warning(tmp_path):
    run = Run(torch.nn.Module(), 9, 3, 4, step=3)
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.warns(UserWarning, match=r"metrics\.jsonl: not written: Is a directory$"):
        Recorder(RunFolder(tmp_path)).run_ended(run, None)


def test_the_last_evaluation_of_each_split_is_written_at_the_end(tmp_path):
    recorder, run = Recorder(RunFolder(tmp_path)), Run(torch.nn.Module(), 9, 3, 4)
    for run.step, accuracy in ((3, 0.5), (6, 0.75)):
        recorder.evaluated(run, "val", gvt.Evaluation({"accuracy": accuracy}))
    assert not (tmp_path / "evaluation").exists()
    recorder.run_ended(run, None)
    figures = json.loads((tmp_path / "evaluation" / "val.json").read_text())
    assert (figures["step"], figures["metrics"]) == (6, {"accuracy": 0.75})
