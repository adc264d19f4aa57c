"""What a saved run is still good for."""

import json
import shutil

import pytest
import torch

import gvt
from gvt.session.finding import find_run
from gvt.session.judging import judge

pytestmark = pytest.mark.usefixtures("drawn")

DIGITS = ("train.steps=12", "data.holdout=500", "train.ema.decay=0.9", "evaluate.every=5")
FIVES = ("train.steps=2", "data.classes=[5]", "generator.width=8", "discriminator.width=8")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run("classify.mnist", *DIGITS, f"run.root={root}", quiet=True)


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run("gan.mnist", *FIVES, f"run.root={root}", quiet=True)


@pytest.mark.parametrize("split", ["val", "test"])
def test_an_evaluation_has_the_figures_of_training_to_the_last_digit(classifier, split):
    found = gvt.evaluate_checkpoint(classifier.folder, split=split).metrics
    trained = {
        name.removeprefix(f"{split}/"): value
        for name, value in classifier.metrics.items()
        if name.startswith(f"{split}/")
    }
    assert found == trained
    assert {"accuracy", "precision", "recall", "f1", "loss/cross_entropy"} == found.keys()


def test_what_is_found_goes_into_the_run(classifier):
    found = gvt.evaluate_checkpoint(classifier.checkpoint, split="val")
    folder = classifier.folder / "evaluation"
    written = json.loads((folder / "val.json").read_text())
    assert written["metrics"] == found.metrics
    assert (written["split"], written["step"]) == ("val", 12)
    table = torch.tensor(written["tables"]["confusion"])
    assert int(table.sum()) == 500
    assert int(table.diag().sum()) / 500 == pytest.approx(found.metrics["accuracy"])
    assert {p.name for p in folder.glob("val_*")} == {
        "val_confusion.png",
        "val_mistakes.png",
    }


@pytest.fixture
def copied(classifier, tmp_path):
    """Return a copy of the classifier's run, to be spoilt."""
    return shutil.copytree(classifier.folder, tmp_path / "run")


def files_of(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_where_things_are_leaves_an_evaluation_the_runs_own(copied):
    words = ("device=cpu", "evaluate.batch_size=100")
    found = gvt.evaluate_checkpoint(copied, *words, split="val")
    written = json.loads((copied / "evaluation" / "val.json").read_text())
    assert written["metrics"] == found.metrics
    about = {n: written[n] for n in ("checkpoint", "averaged", "precision", "overrides")}
    assert about == {
        "checkpoint": "last.safetensors",
        "averaged": True,
        "precision": judge(copied, split="val").about["precision"],
        "overrides": list(words),
    }


@pytest.mark.parametrize(
    ("checkpoint", "words", "averaged", "why"),
    [
        ("last", ("data.holdout=400",), True, "the run's own has no override of data.holdout"),
        ("last", ("data={name: mnist, holdout: 400}",), True, "no override of data"),
        ("last", (), False, "the run's own is not of the raw weights"),
        ("best", (), True, "best.safetensors is not the run's last checkpoint"),
    ],
)
def test_another_evaluation_leaves_the_runs_own_alone(copied, checkpoint, words, averaged, why):
    path = copied / "checkpoints" / f"{checkpoint}.safetensors"
    before = files_of(copied)
    judged = judge(path, *words, split="val", averaged=averaged)
    assert judged.save() == []
    assert judged.apart.endswith(why)
    assert files_of(copied) == before
    out = copied.parent / "out"
    found = gvt.evaluate_checkpoint(path, *words, split="val", averaged=averaged, out=out)
    written = json.loads((out / "val.json").read_text())
    assert (written["metrics"], written["averaged"]) == (found.metrics, averaged)
    assert written["overrides"] == list(words)
    assert files_of(copied) == before


def test_what_cannot_be_written_loses_no_figures(copied):
    shutil.rmtree(copied / "evaluation")
    (copied / "evaluation").touch()
    (copied / "report.html").unlink()
    (copied / "report.html").mkdir()
    with pytest.warns(UserWarning, match="not written") as warned:
        found = gvt.evaluate_checkpoint(copied, split="val")
    assert found.metrics["accuracy"] > 0
    assert [str(w.message).partition(":")[0] for w in warned] == [
        str(copied / "evaluation"),
        str(copied / "report.html"),
    ]


def test_the_report_is_written_whatever_becomes_of_the_rest(copied):
    before = (copied / "report.html").stat().st_mtime_ns
    shutil.rmtree(copied / "evaluation")
    (copied / "evaluation").touch()
    with pytest.warns(UserWarning, match="evaluation: not written"):
        gvt.evaluate_checkpoint(copied, split="val")
    assert (copied / "report.html").stat().st_mtime_ns > before


@pytest.mark.parametrize("inside", ["some", "checkpoints"])
def test_a_run_is_where_checkpoints_stands_beside_a_configuration(copied, inside):
    place = copied / "sub" / inside
    place.mkdir(parents=True)
    path = place / "last.safetensors"
    shutil.copy(copied / "checkpoints" / "last.safetensors", path)
    if inside == "some":  # a grandparent that is no run's, though it has a configuration
        shutil.copy(copied / "config.yaml", copied / "sub")
    judged = judge(path, split="val")
    assert (judged.run, judged.target) == (None, None)
    assert judged.save() == []
    assert [p.name for p in place.iterdir()] == ["last.safetensors"]
    with pytest.raises(gvt.UsageError, match="is not a checkpoint of a run"):
        find_run(path)


def test_a_run_is_found_from_wherever_its_checkpoint_is_named(copied, monkeypatch):
    monkeypatch.chdir(copied / "checkpoints")
    for path in ("last.safetensors", "../checkpoints/best.safetensors", copied):
        assert find_run(path).path.resolve() == copied.resolve()


@pytest.mark.slow
def test_the_average_and_the_weights_as_trained_differ(classifier):
    averaged = gvt.evaluate_checkpoint(classifier.checkpoint).metrics
    raw = gvt.evaluate_checkpoint(classifier.checkpoint, averaged=False).metrics
    assert averaged["loss/cross_entropy"] != raw["loss/cross_entropy"]


def test_a_checkpoint_outside_a_run_is_evaluated_and_nothing_written(classifier, tmp_path):
    copy = tmp_path / "copied" / "some.safetensors"
    copy.parent.mkdir()
    shutil.copy(classifier.checkpoint, copy)
    found = gvt.evaluate_checkpoint(copy, "evaluate.batch_size=500").metrics
    assert found["accuracy"] == classifier.metrics["test/accuracy"]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["some.safetensors"]


def test_a_gan_is_evaluated_on_held_out_pictures(gan):
    found = gvt.evaluate_checkpoint(gan.checkpoint, split="test").metrics
    assert found.keys() == {"loss/real", "loss/fake", "loss/generator"}
    assert all(0 < value < 2 for value in found.values())


@pytest.mark.parametrize(
    ("words", "split", "said"),
    [
        ((), None, "names? no split|evaluates no split"),
        ((), "vall", "^--split .*no split 'vall'; it has train, val, test"),
        (("data.classes=[3]",), "test", "its classes are 3, but the networks were trained for 5"),
        (("discriminator.width=16",), "test", "discriminator: the networks are those"),
        (("train.deterministic=true",), "test", "train: the networks are those"),
        (("optimizers.generator.lr=1",), "test", "optimizers: the networks are those"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(gan, words, split, said):
    with pytest.raises(gvt.GvtError, match=said) as caught:
        gvt.evaluate_checkpoint(gan.checkpoint, *words, split=split)
    assert "\n" not in str(caught.value)


def test_pictures_are_those_of_the_seed_and_of_the_average(gan):
    first, again = (gvt.sample(gan.folder, 5, seed=3, device="cpu") for _ in range(2))
    other = gvt.sample(gan.folder, 5, seed=4, device="cpu")
    raw = gvt.sample(gan.folder, 5, seed=3, device="cpu", averaged=False)
    assert first.shape == (5, 1, 28, 28)
    assert 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, raw)


def test_a_classifier_makes_no_pictures(classifier):
    with pytest.raises(gvt.UsageError, match="needs a generative task"):
        gvt.sample(classifier.folder)


def test_a_folder_is_as_good_as_its_last_checkpoint(classifier, tmp_path):
    one, other = gvt.load(classifier.folder), gvt.load(classifier.checkpoint)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    with pytest.raises(gvt.UsageError, match="is not a run folder, or has no checkpoint yet"):
        gvt.load(tmp_path)
