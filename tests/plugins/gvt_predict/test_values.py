"""Prediction for what a field reads, other than images."""

import json
from types import SimpleNamespace

import pytest
import torch

import gvt
import gvt_predict.values
from gvt_predict.result import text_of
from gvt_predict.settings import PredictConfig
from gvt_predict.values import ValueJob


class Numbers(gvt.Field):
    """Numbers that are written as words of the command line."""

    is_dense = True

    def read(self, arguments, reader):
        return [
            (f"number {word}", torch.tensor(float(word) + reader["offset"])) for word in arguments
        ]


class Signs(gvt.Task):
    """Classifies numbers by their sign."""

    phases = (gvt.Phase("none", trains="layer"),)
    seen: list

    def predict(self, batch):
        self.seen.append(len(batch))
        scores = torch.stack([-batch.inputs["number"], batch.inputs["number"]], dim=1).softmax(1)
        return [{"class": s.argmax(), "scores": s} for s in scores]


predict = Signs.predict


@pytest.fixture
def opened(monkeypatch):
    """Return an opened task on numbers."""
    monkeypatch.setattr(gvt_predict.values, "field_of", lambda name: Numbers())
    task = Signs()
    task.seen = []
    config = SimpleNamespace(
        recipe="signs", section=lambda name, model: PredictConfig(batch_size=2)
    )
    info = gvt.DataInfo(("minus", "plus"), None, reader={"field": "number", "offset": 1})
    placement = gvt.Placement.resolve("cpu", precision="float32")
    return SimpleNamespace(task=task, config=config, info=info, placement=placement)


def test_values_are_predicted_in_batches_and_written_as_lines(opened, tmp_path):
    job = ValueJob(opened, "number", ["3", "-3", "0"], tmp_path / "out")
    results = list(job)
    assert opened.task.seen == [2, 1]
    assert [r.summary["class"] for r in results] == ["plus", "minus", "plus"]
    assert text_of(results[1]).splitlines()[0] == "number -3"
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["file"] for line in lines] == ["number 3", "number -3", "number 0"]
    assert [json.loads(line) for line in lines] == [r.summary for r in results]


def test_several_heads_are_in_heads(opened, monkeypatch):
    monkeypatch.setattr(
        Signs, "predict", lambda self, batch: [{"a": p, "b": p} for p in predict(self, batch)]
    )
    (result,) = ValueJob(opened, "number", ["3"])
    assert {head: part["class"] for head, part in result.summary["heads"].items()} == {
        "a": "plus",
        "b": "plus",
    }


def test_predictions_in_pixels_are_one_line(opened, monkeypatch):
    boxes = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0), "scores": torch.zeros(0)}
    monkeypatch.setattr(Signs, "predict", lambda self, batch: [boxes])
    with pytest.raises(gvt.DataError, match="number 3: boxes are predictions for images only"):
        list(ValueJob(opened, "number", ["3"]))


def test_a_field_that_reads_nothing_is_one_line(opened, monkeypatch):
    monkeypatch.setattr(gvt_predict.values, "field_of", lambda name: gvt.Field())
    with pytest.raises(gvt.UsageError, match="signs: Field is not read from the command line"):
        ValueJob(opened, "number", ["3"])
