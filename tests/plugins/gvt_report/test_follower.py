"""Drawing a run during training, and failures of it."""

import html
import json
import shutil
import warnings

import pytest
from PIL import Image

import gvt
from gvt.runs.folder import RunFolder
from gvt.vision.drawing.tiles import PADDING
from gvt_registry import Registry
from gvt_report.follower import Follower

SMALL = ("train.steps=2", "data.holdout=200", "data.batch_size=50")
GAN = ("data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8")


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


def test_a_log_that_cannot_be_read_is_one_warning(run, tmp_path):
    folder = RunFolder(shutil.copytree(run.folder, tmp_path / "copy"))
    blocked(folder.metrics)
    with pytest.warns(UserWarning) as caught:
        Follower(folder.path).end(run)
    assert unwritten(caught, folder.path) == ["report.html"]


def test_a_bug_while_drawing_is_one_warning_and_the_rest_is_drawn(classifier, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no width")

    monkeypatch.setattr("gvt_report.follower.save_losses_plot", broken)
    (classifier / "report.html").unlink()
    with pytest.warns(UserWarning) as caught:
        run = gvt.resume(classifier, "train.steps=3", "run.hook_errors=stop", quiet=True)
    assert run.outcome == "success"
    drawn = [str(w.message) for w in caught if "not drawn" in str(w.message)]
    assert drawn == [f"{classifier / 'losses.png'}: not drawn: ZeroDivisionError: no width"]
    assert "step 3 of 3" in (classifier / "report.html").read_text(encoding="utf-8")


def test_a_sheet_of_data_that_cannot_be_drawn_is_one_warning(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no width")

    monkeypatch.setattr("gvt_report.follower.save_samples", broken)
    with pytest.warns(UserWarning) as caught:
        run = gvt.run("gan.mnist", *GAN, "train.steps=1", f"run.root={tmp_path}", quiet=True)
    assert run.outcome == "success"
    drawn = [str(w.message) for w in caught if "not drawn" in str(w.message)]
    assert drawn == [f"{run.folder / 'data.png'}: not drawn: ZeroDivisionError: no width"]


def test_blocked_it_draws_nothing_and_the_run_is_the_same(run, tmp_path, monkeypatch, same_tensors):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report,tensorboard")
    registry = Registry()
    for place in ("training", "judging"):
        monkeypatch.setattr(f"gvt.session.{place}.default_registry", lambda: registry)
    overrides = (*GAN, "train.steps=6", "train.pictures_every=2", f"run.root={tmp_path}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = gvt.run("gan.mnist", *overrides, quiet=True)
    same_tensors(run.checkpoint, plain.checkpoint)
    paths = {p.relative_to(plain.folder) for p in plain.folder.rglob("*") if p.is_file()}
    assert {p.as_posix() for p in paths} == {
        ".lock",
        "checkpoints/last.safetensors",
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
    }


def test_blocked_an_evaluation_has_its_figures_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report")
    registry = Registry()
    for place in ("training", "judging"):
        monkeypatch.setattr(f"gvt.session.{place}.default_registry", lambda: registry)
    root = f"run.root={tmp_path}"
    run = gvt.run("classify.mnist", *SMALL, root, "evaluate.final=null", quiet=True)
    figures = run.folder / "evaluation" / "val.json"
    assert list(figures.parent.iterdir()) == [figures]
    before = figures.read_bytes()
    figures.unlink()
    gvt.evaluate_checkpoint(run.folder)
    assert list(figures.parent.iterdir()) == [figures]
    assert json.loads(figures.read_bytes())["metrics"] == json.loads(before)["metrics"]


def test_a_run_that_fails_has_its_report(tmp_path):
    with pytest.raises(gvt.NonFiniteError) as failed:
        gvt.run(
            *("gan.mnist", *GAN, "train.steps=30", "train.log_every=1", f"run.root={tmp_path}"),
            *("optimizers.generator.name=SGD", "optimizers.generator.lr=1e30"),
            quiet=True,
        )
    page = RunFolder.latest(tmp_path).report.read_text(encoding="utf-8")
    assert "Failed at step" in page
    assert str(failed.value)[:40] in html.unescape(page)


@pytest.mark.slow
def test_if_everything_can_be_written_there_is_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = gvt.run("classify.mnist", *SMALL, f"run.root={tmp_path}", quiet=True)
    assert run.outcome == "success"


def test_progress_is_one_latent_over_the_run(run):
    progress = Image.open(run.folder / "progress.png")
    assert progress.size == (2 * (28 + PADDING) + PADDING,) * 2  # four moments
    for index, step in enumerate((1, 2, 4, 6)):
        sheet = Image.open(run.folder / "samples" / f"samples_{step:08d}.png")
        row, column = divmod(index, 2)
        x, y = (PADDING + i * (28 + PADDING) for i in (column, row))
        box = (PADDING, PADDING, PADDING + 28, PADDING + 28)
        assert progress.crop((x, y, x + 28, y + 28)).tobytes() == sheet.crop(box).tobytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run(
        "gan.mnist",
        *GAN,
        "train.steps=6",
        "train.pictures_every=2",
        f"run.root={root}",
        quiet=True,
    )


def test_everything_that_was_promised_is_there(run):
    paths = {p.relative_to(run.folder) for p in run.folder.rglob("*") if p.is_file()}
    names = {p.as_posix() for p in paths if p.parts[0] != "tensorboard"}  # a plugin's own
    sheets = {f"samples/samples_{step:08d}.png" for step in (1, 2, 4, 6)}
    assert names == sheets | {
        ".lock",
        "checkpoints/last.safetensors",
        "config.yaml",
        "data.png",
        "environment.json",
        "losses.png",
        "metrics.jsonl",
        "progress.png",
        "report.html",
        "scatter.png",
    }


def test_what_a_resumed_run_left_behind_as_future_is_gone(tmp_path):
    overrides = [*GAN, "train.checkpoint_every=1", "train.pictures_every=1", "train.keep=3"]
    run = gvt.run("gan.mnist", *overrides, "train.steps=6", f"run.root={tmp_path}", quiet=True)
    checkpoints = run.folder / "checkpoints"
    again = gvt.resume(checkpoints / "step_00000004.safetensors", "train.steps=5", quiet=True)
    numbers = sorted(p.name for p in checkpoints.glob("step_*"))
    assert numbers == ["step_00000004.safetensors", "step_00000005.safetensors"]
    assert again.step == 5
    sheets = sorted(p.name for p in (run.folder / "samples").iterdir())
    assert sheets == [f"samples_{step:08d}.png" for step in range(1, 6)]
    side = 3 * (28 + PADDING) + PADDING  # five moments, and not the sixth
    assert Image.open(run.folder / "progress.png").size == (side, side - 28 - PADDING)
