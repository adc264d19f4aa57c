"""The log of a run, and what happens where it cannot be written."""

import json

import pytest
import torch

import gvt
from gvt.loop.listener import Run
from gvt.runs.folder import RunFolder
from gvt.runs.log import read_log
from gvt.runs.recorder import Recorder


def test_the_training_split_evaluated_is_held_apart_from_the_training(tmp_path):
    recorder = Recorder(RunFolder(tmp_path))
    run = Run(torch.nn.Module(), 9, 3, 4, step=3)
    recorder.losses_read(run, [(3, {"accuracy": 0.1})])
    recorder.evaluated(run, "train", gvt.Evaluation({"accuracy": 0.9}))
    curves = read_log(tmp_path / "metrics.jsonl").curves
    assert curves == {"train/accuracy": [(3, 0.1)], "train_eval/accuracy": [(3, 0.9)]}


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
