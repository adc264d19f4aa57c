"""A run written down as it goes, and what happens where that fails."""

import json
import shutil
import warnings

import pytest
import torch

import gvt
from gvt.loop.listener import Run
from gvt.runs.folder import RunFolder
from gvt.runs.plots import panels, read_curves
from gvt.runs.recorder import Recorder

SMALL = ("train.steps=2", "data.holdout=200", "data.batch_size=50")


def blocked(path):
    """Put something in a file's place that nothing can be written over, also not by root."""
    path.unlink(missing_ok=True)
    (path / "inside").mkdir(parents=True)


def unwritten(caught, folder):
    said = [str(w.message) for w in caught if ": not written: " in str(w.message)]
    return [line.partition(": not")[0].removeprefix(f"{folder}/") for line in said]


@pytest.fixture
def classifier(tmp_path):
    return gvt.run("classify.mnist", *SMALL, f"run.root={tmp_path}", "evaluate.final=null").folder


def test_what_cannot_be_written_at_the_end_spoils_neither_the_run_nor_the_rest(classifier):
    kept = [classifier / "evaluation" / f"val{rest}" for rest in (".json", "_mistakes.png")]
    lost = [classifier / "evaluation" / "val_confusion.png", classifier / "losses.png"]
    for path in kept:
        path.unlink()
    for path in (*lost, classifier / "report.html"):
        blocked(path)
    with pytest.warns(UserWarning) as caught:
        run = gvt.resume(classifier, "train.steps=3", quiet=True)
    assert (run.outcome, run.step) == ("success", 3)
    assert all(path.is_file() for path in kept)
    assert unwritten(caught, classifier) == [
        "evaluation/val_confusion.png",
        "losses.png",
        "report.html",
    ]
    about = json.loads(kept[0].read_text())
    expected = (3, False, run.config.train.precision)
    assert (about["step"], about["averaged"], about["precision"]) == expected


def test_sheets_and_progress_that_cannot_be_written_stop_nothing(tmp_path):
    small = ("data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8")
    root = f"run.root={tmp_path}"
    folder = gvt.run("gan.mnist", *small, "train.steps=2", root, quiet=True).folder
    shutil.rmtree(folder / "samples")
    (folder / "samples").write_text("a file")
    blocked(folder / "scatter.png")
    with pytest.warns(UserWarning) as caught:
        run = gvt.resume(folder, "train.steps=4", quiet=True)
    assert (run.outcome, run.step) == ("success", 4)
    assert set(unwritten(caught, folder)) == {
        "samples/samples_00000004.png",
        "progress.png",
        "scatter.png",
    }
    assert "step 4 of 4" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_run_whose_end_cannot_be_noted_has_its_pictures(tmp_path):
    run = gvt.run("gan.mnist", "data.classes=[5]", "train.steps=1", f"run.root={tmp_path}")
    folder = RunFolder(run.folder)
    folder.losses_plot.unlink()
    blocked(folder.metrics)
    with pytest.warns(UserWarning) as caught:
        Recorder(folder).run_ended(run, None)
    assert unwritten(caught, run.folder)[0] == "metrics.jsonl"


def test_a_bug_while_drawing_is_raised(classifier, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("gvt.runs.recorder.save_losses_plot", broken)
    with pytest.raises(ZeroDivisionError):
        gvt.resume(classifier, "train.steps=3", quiet=True)


def test_the_training_split_evaluated_is_held_apart_from_the_training(tmp_path):
    recorder = Recorder(RunFolder(tmp_path))
    run = Run(torch.nn.Module(), 9, 3, 4, step=3)
    recorder.losses_read(run, [(3, {"accuracy": 0.1})])
    recorder.evaluated(run, "train", gvt.Evaluation({"accuracy": 0.9}))
    curves = read_curves(tmp_path / "metrics.jsonl")
    assert curves == {"train/accuracy": [(3, 0.1)], "train_eval/accuracy": [(3, 0.9)]}
    assert panels(curves) == {
        "Training losses": {"train/accuracy": [(3, 0.1)]},
        "Held-out metrics": {"train_eval/accuracy": [(3, 0.9)]},
    }


@pytest.mark.slow
def test_where_all_can_be_written_nothing_is_warned_of(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = gvt.run("classify.mnist", *SMALL, f"run.root={tmp_path}", quiet=True)
    assert run.outcome == "success"
