"""What a run measured, read from its log."""

import json

import pytest

import gvt
from gvt.loop.figures import Figure, to_document
from gvt_report.log import from_document, guessed, read_log


def written(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def metrics(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_a_log_has_curves_rates_and_an_ending(metrics):
    ended = {"event": "ended", "step": 2, "outcome": "success"}
    log = read_log(written(metrics, {"step": 1, "train/a": 3, "lr/m": 0.1, "epoch": 0}, ended))
    assert log.curves == {"train/a": [(1, 3.0)], "lr/m": [(1, 0.1)]}
    assert log.ending == ended
    assert log.step == 2


def test_a_run_that_goes_on_has_no_ending(metrics):
    rows = [{"step": n, "train/a": n} for n in (1, 2, 3)]
    ended = {"event": "ended", "step": 3, "outcome": "interrupt"}
    log = read_log(written(metrics, *rows, ended, {"event": "resumed", "step": 1}))
    assert log.ending is None
    assert log.step == 1
    assert log.curves == {"train/a": [(1, 1.0)]}


def test_what_is_no_line_of_metrics_is_left_out(metrics):
    metrics.write_bytes(
        b'{"step": 1, "train/a": 0.5}\n[1]\n{"step": "x", "train/a": 1}\n{"a": 1}\n\xff\xfe\n\n'
        b'{"step": 2, "train/a": null, "train/b": "text"}\n{"step": 3, "tra'
    )
    log = read_log(metrics)
    assert log.curves == {"train/a": [(1, 0.5)]}
    assert log.step == 2
    assert read_log(metrics.with_name("none.jsonl")).curves == {}


KINDS = {"train/a": {"kind": "training loss"}, "val/iou/cat": {"kind": "metric", "class": "cat"}}


def test_a_log_says_what_its_figures_are(metrics):
    rows = [
        {"step": 1, "train/a": 3, "figures": KINDS},
        {"step": 2, "train/a": 2, "val/iou/cat": 0.5, "val/iou/dog": 0.25},
        {"step": 2, "val/loss/7": 1, "figures": {"val/loss/7": {"kind": "metric"}}},
    ]
    assert read_log(written(metrics, *rows)).figures == {
        "train/a": Figure("training loss"),
        "val/iou/cat": Figure("metric", "cat"),
        "val/iou/dog": Figure("metric"),
        "val/loss/7": Figure("metric"),
    }


@pytest.mark.parametrize(
    "odd", [None, 7, [], {"val/a": None}, {"val/a": {"kind": "x"}}, {"val/a": {"kind": []}}]
)
def test_figures_that_cannot_be_understood_are_known_by_their_names(odd, metrics):
    log = read_log(written(metrics, {"step": 1, "val/a": 0.5, "figures": odd}))
    assert (log.curves, log.figures) == ({"val/a": [(1, 0.5)]}, {"val/a": Figure("metric")})


def test_figures_of_a_log_without_them_are_known_by_their_names():
    classes = ["cat", "dice", "odd/name"]
    metrics = {"val/iou/cat": "cat", "val/where/iou/odd/name": "odd/name", "val/iou/3": "3"}
    metrics |= {"val/iou/background": "background", "val/cat": None, "train_eval/mean_iou": None}
    assert {n: guessed(n, classes) for n in metrics} == {
        name: Figure("metric", of_class) for name, of_class in metrics.items()
    }
    kinds = {"val/loss/dice": "loss", "train/supervised/dice": "training loss",
             "lr/cat": "learning rate"}  # fmt: skip
    assert {name: guessed(name, classes) for name in kinds} == {
        name: Figure(kind) for name, kind in kinds.items()
    }
    assert guessed("val/iou/cat") == Figure("metric")


def test_figures_as_plain_data_are_the_same_again():
    figures = {"a": Figure("loss"), "b/cat": Figure("metric", "cat"), "c": Figure("training loss")}
    document = json.loads(json.dumps(to_document(figures)))
    assert document["b/cat"] == {"kind": "metric", "class": "cat"}
    assert from_document(document) == figures


@pytest.mark.slow
def test_names_of_our_own_figures_tell_the_same_of_them(tmp_path):
    run = gvt.run(
        *("segment.scenes", "train.epochs=null", "train.steps=2", "data.batch_size=4"),
        *("data.count=16", "data.held_out=8"),
        *("evaluate.every=null", "evaluate.final=val", f"run.root={tmp_path}"),
        quiet=True,
    )
    log = read_log(run.folder / "metrics.jsonl")
    assert {figure.kind for figure in log.figures.values()} == {
        *("training loss", "learning rate", "loss", "metric")
    }
    assert any(figure.of_class is not None for figure in log.figures.values())
    assert {name: guessed(name, run.info.classes) for name in log.figures} == log.figures
