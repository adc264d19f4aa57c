"""What a run measured, read from its log."""

import json

import pytest

from gvt.runs.log import of_one_class, read_log


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


def test_numbers_of_single_classes_are_known_by_their_names():
    classes = ["cat", "dice", "odd/name"]
    single = ["val/iou/cat", "val/where/iou/odd/name", "val/iou/background", "val/iou/3"]
    others = ["val/mean_iou", "val/where/mean_iou", "val/loss/dice", "train/supervised/dice",
              "lr/cat", "val/cat"]  # fmt: skip
    assert [name for name in single + others if of_one_class(name, classes)] == single
    assert [name for name in single if of_one_class(name)] == single[2:]
