"""What a saved run is still good for."""

import json
import shutil

import pytest
import torch

import gvt

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
        ((), "vall", "no split 'vall'; it has train, val, test"),
        (("data.classes=[3]",), "test", "its classes are 3, but the networks were trained for 5"),
        (("discriminator.width=16",), "test", "discriminator: the networks are those"),
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
    with pytest.raises(gvt.UsageError, match="for tasks that generate"):
        gvt.sample(classifier.folder)


def test_a_folder_is_as_good_as_its_last_checkpoint(classifier, tmp_path):
    one, other = gvt.load(classifier.folder), gvt.load(classifier.checkpoint)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    with pytest.raises(gvt.UsageError, match="no run's folder"):
        gvt.load(tmp_path)
