"""An evaluation on disk."""

import json
import math
import sys

import pytest
import torch

import gvt
from gvt.loop.evaluation import Evaluation, Mistake
from gvt.runs.evaluations import save_evaluation

CLASSES = ["cat", "dog"]
MISTAKE = Mistake(
    1.0,
    {"image": torch.zeros(1, 28, 28)},
    {"class": torch.tensor(0)},
    {"class": torch.tensor(1)},
    "a.png",
)
TABLE = torch.tensor([[3, 1], [0, 2]])


def found(**changes):
    parts = {"metrics": {"accuracy": 0.75}, "tables": {"confusion": TABLE}, "classes": CLASSES}
    return Evaluation(**parts | {"mistakes": {"mistakes": [MISTAKE]}} | changes)


def strict(path):
    """Read JSON as the standard has it, without NaN and Infinity."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_numbers_tables_and_what_they_are_of(tmp_path):
    about = {"checkpoint": "last.safetensors", "averaged": True}
    folder = tmp_path / "some" / "evaluation"
    written = save_evaluation(folder, "val", 12, found(), about=about)
    assert [p.name for p in written] == [p.name for p in folder.iterdir()] == ["val.json"]
    assert strict(written[0]) == {
        "split": "val",
        "step": 12,
        "checkpoint": "last.safetensors",
        "averaged": True,
        "classes": ["cat", "dog"],
        "metrics": {"accuracy": 0.75},
        "figures": {"accuracy": {"kind": "metric"}},
        "tables": {"confusion": [[3, 1], [0, 2]]},
    }


def test_a_number_that_is_not_finite_is_null(tmp_path):
    table = torch.tensor([[math.nan, 1.0], [math.inf, 0.5]])
    odd = found(metrics={"a": math.nan, "b": -math.inf, "c": 1.0}, tables={"confusion": table})
    about = {"further": [math.inf, {"deep": math.nan}]}
    numbers, *_ = save_evaluation(tmp_path, "val", 1, odd, about=about)
    read = strict(numbers)
    assert read["metrics"] == {"a": None, "b": None, "c": 1.0}
    assert read["tables"] == {"confusion": [[None, 1.0], [None, 0.5]]}
    assert read["further"] == [None, {"deep": None}]


def test_curves_are_a_line_each(tmp_path):
    x = torch.linspace(0, 1, 101)
    rows = torch.stack([1 - x / 3, torch.full_like(x, torch.nan)])
    curves = {"head/precision_recall": gvt.Curves(x, rows, ("recall", "precision"))}
    written = save_evaluation(tmp_path, "val", 1, found(mistakes={}, curves=curves))
    read = strict(written[0])["curves"]["head/precision_recall"]
    assert read["names"] == ["recall", "precision"]
    assert read["x"] == [n / 100 for n in range(101)]
    assert read["y"][0] == [round(1 - n / 300, 6) for n in range(101)]
    assert read["y"][1] == [None] * 101
    assert len(written[0].read_text().splitlines()) < 40


def test_what_no_training_led_to_has_no_step(tmp_path):
    numbers, *_ = save_evaluation(tmp_path, "val", None, found())
    assert strict(numbers).keys() == {"split", "classes", "metrics", "figures", "tables"}


def test_a_row_of_a_table_is_one_line(tmp_path):
    size = 300
    table = torch.arange(size * size).view(size, size)
    without = found(tables={}, mistakes={})
    plain, *_ = save_evaluation(tmp_path, "val", 1, without)
    lines = len(plain.read_text().splitlines())
    assert strict(plain)["tables"] == {}
    several = found(tables={"confusion": table, "other": TABLE}, mistakes={})
    numbers, *_ = save_evaluation(tmp_path, "val", 1, several)
    assert strict(numbers)["tables"] == {"confusion": table.tolist(), "other": TABLE.tolist()}
    assert len(numbers.read_text().splitlines()) <= lines + size + len(TABLE) + 4


def test_figures_that_cannot_be_written_are_a_warning(tmp_path):
    (tmp_path / "val.json" / "inside").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"val\.json: not written: Is a directory$"):
        assert save_evaluation(tmp_path, "val", 1, found()) == []


def test_no_folder_is_one_warning(tmp_path):
    (tmp_path / "evaluation").write_text("a file")
    with pytest.warns(UserWarning) as caught:
        assert save_evaluation(tmp_path / "evaluation", "val", 1, found()) == []
    assert [str(w.message) for w in caught] == [
        f"{tmp_path / 'evaluation'}: not written: File exists"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_on_a_full_disk_the_file_is_named(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.warns(UserWarning) as caught:
            written = save_evaluation(tmp_path, "val", 1, found())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert written == []
    assert list(tmp_path.iterdir()) == []
    assert [str(w.message).partition(": ")[0] for w in caught] == [str(tmp_path / "val.json")]
