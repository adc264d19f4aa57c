"""The classifier head and its recipe."""

import json

import pytest
import torch

import gvt
from gvt.build import DataFacts, build_task
from gvt.checkpoint.document import read_header


def build(*overrides):
    config = gvt.compose("classify.mnist", overrides)
    return build_task(config, DataFacts(tuple("0123456789"), (1, 28, 28)))


@pytest.mark.parametrize(
    ("overrides", "count"), [((), 225_034), (("heads.digit.hidden=[64]",), 121_930)]
)
def test_the_textbook_network_has_its_published_size(overrides, count):
    assert sum(p.numel() for p in build(*overrides).parameters()) == count


def test_the_network_is_the_textbooks():
    task = build().eval()
    images = torch.rand(3, 1, 28, 28)
    frame = gvt.Frame(((28, 28),) * 3, (28, 28))
    weights = list(task.parameters())
    x = images
    for weight, bias in (weights[0:2], weights[2:4]):
        x = torch.max_pool2d(torch.conv2d(x, weight, bias).relu(), 2)
    x = (x.flatten(1) @ weights[4].T + weights[5]).relu() @ weights[6].T + weights[7]
    predictions = task.predict(gvt.Batch(images, frame))
    torch.testing.assert_close(torch.stack([p["scores"] for p in predictions]), x.softmax(1))
    assert [int(p["class"]) for p in predictions] == x.argmax(1).tolist()


@pytest.mark.parametrize("grid", [1, 2])
def test_any_feature_map_is_averaged_to_the_grid(grid):
    head = gvt.create("head", "classifier", feature_info={"a": (4, 8)}, num_classes=3, grid=grid)
    features = {"a": torch.rand(2, 4, 6, 6)}
    logits = head(features, None)
    pooled = features["a"].unfold(2, 6 // grid, 6 // grid).unfold(3, 6 // grid, 6 // grid)
    expected = head.layers(pooled.mean(dim=(-1, -2)))
    torch.testing.assert_close(logits, expected)


def test_accuracy_counts_what_is_right():
    head = gvt.create("head", "classifier", feature_info={"a": (1, 1)}, num_classes=3)
    metric = head.metric()
    truth = [{"class": torch.tensor(c)} for c in (0, 1, 2, 2)]
    metric.update([{"class": torch.tensor(c)} for c in (0, 1, 2, 0)], truth)
    assert metric.compute()["accuracy"] == pytest.approx(0.75)


def test_it_learns_digits(tmp_path):
    run = gvt.run(
        "classify.mnist",
        *("data.holdout=50000", "train.epochs=null", "train.steps=150", "evaluate.split=null"),
        *("evaluate.best=null", f"run.root={tmp_path}"),
        quiet=True,
    )
    assert run.metrics["test/accuracy"] > 0.9


def test_the_best_checkpoint_is_kept_and_is_the_best(tmp_path):
    run = gvt.run(
        "classify.mnist",
        *("data.holdout=57000", "data.batch_size=50", "train.epochs=3", "evaluate.final=null"),
        "evaluate.split=test",
        *("optimizers.model.lr=3e-2", f"run.root={tmp_path}"),
        quiet=True,
    )
    rows = [json.loads(r) for r in (run.folder / "metrics.jsonl").read_text().splitlines()]
    accuracies = {r["step"]: r["test/accuracy"] for r in rows if "test/accuracy" in r}
    assert len(accuracies) == 3
    best = max(accuracies, key=accuracies.get)
    saved = read_header(run.folder / "checkpoints" / "best.safetensors").document["training"]
    assert saved["step"] == best
    assert saved["best"] == {"value": accuracies[best], "step": best}
    assert saved["metrics"]["test/accuracy"] == accuracies[best]
