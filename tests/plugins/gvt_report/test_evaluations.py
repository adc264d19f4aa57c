"""Plots of an evaluation."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.loop.evaluation import Evaluation, Mistake
from gvt_report import evaluations
from gvt_report.evaluations import draw_evaluation

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


@pytest.mark.parametrize(("processes", "said"), [(1, ""), (2, " (of this process's share)")])
def test_titles_have_the_split_and_the_step(processes, said, tmp_path, monkeypatch):
    titles = {}

    def note(name):
        save = getattr(evaluations, name)

        def noting(*arguments, title):
            titles[name] = title
            save(*arguments, title=title)

        monkeypatch.setattr(evaluations, name, noting)

    note("save_matrix")
    note("save_mistakes")
    draw_evaluation(tmp_path, "val", 1200, found(processes=processes))
    assert titles == {
        "save_matrix": "val, step 1,200: confusion",
        "save_mistakes": f"val, step 1,200{said}: mistakes",
    }


def test_each_table_plot_and_sheet_is_a_file(tmp_path):
    x = torch.linspace(0, 1, 101)
    rows = torch.stack([1 - x / 3, torch.full_like(x, torch.nan)])
    curves = {"head/precision_recall": gvt.Curves(x, rows, ("recall", "precision"))}
    draw_evaluation(tmp_path, "val", 1, found(curves=curves))
    names = ["val_confusion.png", "val_head_precision_recall.png", "val_mistakes.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert all(np.asarray(Image.open(tmp_path / name)).size > 0 for name in names)


def test_without_mistakes_an_older_sheet_of_them_is_deleted(tmp_path):
    (tmp_path / "val_mistakes.png").write_text("older")
    draw_evaluation(tmp_path, "val", 1, found(mistakes={"mistakes": []}))
    assert [p.name for p in tmp_path.iterdir()] == ["val_confusion.png"]


def test_a_plot_that_cannot_be_drawn_is_a_warning_and_the_others_are_drawn(tmp_path):
    (tmp_path / "val_mistakes.png" / "inside").mkdir(parents=True)
    tables = {"bad": torch.zeros(3), "confusion": TABLE}
    with pytest.warns(UserWarning) as caught:
        draw_evaluation(tmp_path, "val", 1, found(tables=tables))
    assert np.asarray(Image.open(tmp_path / "val_confusion.png")).size > 0
    bad, mistakes = [str(w.message) for w in caught]
    assert bad.startswith(f"{tmp_path / 'val_bad.png'}: not drawn: AxisError: ")
    assert mistakes.startswith(f"{tmp_path / 'val_mistakes.png'}: not written: ")


def test_without_a_folder_nothing_is_drawn(tmp_path):
    draw_evaluation(tmp_path / "nowhere", "val", 1, found())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_on_a_full_disk_every_file_is_named(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.warns(UserWarning) as caught:
            draw_evaluation(tmp_path, "val", 1, found())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    paths = [tmp_path / f"val_{name}.png" for name in ("confusion", "mistakes")]
    expected = [f"{path}: not written: File too large" for path in paths]
    assert [str(w.message) for w in caught] == expected


def test_a_table_with_a_background_has_its_name(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        evaluations, "save_matrix", lambda table, names, path, title: drawn.append(list(names))
    )
    tables = {str(size): torch.zeros(size, size) for size in (1, 2, 3, 4)}
    draw_evaluation(tmp_path, "val", 1, found(tables=tables))
    assert drawn == [CLASSES, CLASSES, [*CLASSES, "background"], CLASSES]
