"""The classifier head and its recipe."""

import json

import pytest
import torch

import gvt
from gvt.build import build_task
from gvt.checkpoint.document import read_header
from gvt.facts import DataFacts


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


def classifier(num_classes, **parameters):
    info = {"a": (1, 1)}
    return gvt.create(
        "head", "classifier", feature_info=info, num_classes=num_classes, **parameters
    )


def classes(*numbers):
    return [{"class": torch.tensor(number)} for number in numbers]


def test_the_metrics_by_hand():
    metric = classifier(5).metric()
    metric.update(classes(0, 0, 1, 1), classes(0, 1, 1, 1))
    metric.update(classes(2, 0), classes(0, 4))
    found = metric.compute()
    # Class 3 occurs nowhere and does not count; 2 is predicted only and 4 is true only: both 0.
    #   class      0    1    2  4
    #   precision  1/3  1    0  0
    #   recall     1/2  2/3  0  0
    #   f1         2/5  4/5  0  0
    assert {name: found[name].item() for name in ("accuracy", "precision", "recall", "f1")} == (
        pytest.approx(
            {
                "accuracy": 3 / 6,
                "precision": (1 / 3 + 1) / 4,
                "recall": (1 / 2 + 2 / 3) / 4,
                "f1": (2 / 5 + 4 / 5) / 4,
            }
        )
    )
    assert found["confusion"].tolist() == [  # rows are the truth
        [1, 0, 1, 0, 0],
        [1, 2, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ]


def test_errors_are_what_is_lacking_to_the_true_class():
    logits = torch.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.5, 0.1, 0.4]]).log()
    head = classifier(3)
    errors = head.errors(head.predict(logits), classes(1, 1, 2))
    torch.testing.assert_close(errors, torch.tensor([0.0, 0.7, 0.6]))


def test_the_loss_is_in_float32_of_whatever_logits():
    logits = (3 * torch.randn(8, 10)).bfloat16()
    targets = gvt.Targets({"class": torch.arange(8)})
    expected = torch.nn.functional.cross_entropy(logits.float(), targets["class"])
    head = classifier(10)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head.loss(logits, targets)["cross_entropy"], expected)
    assert torch.equal(head.loss(logits, targets)["cross_entropy"], expected)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"hidden": [8, 0]}, "hidden: .*greater than 0"),
        ({"grid": 0}, "grid: .*greater than 0, not 0"),
        ({"dropout": 1.0}, "dropout: .*less than 1"),
        ({"dropout": -0.5}, "dropout: .*greater than or equal to 0"),
    ],
)
def test_impossible_numbers_are_one_line(parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        classifier(3, **parameters)
    assert "\n" not in str(caught.value)


def test_it_learns_digits(tmp_path):
    run = gvt.run(
        "classify.mnist",
        *("data.holdout=3000", "train.epochs=null", "train.steps=60", "optimizers.model.warmup=10"),
        *(
            "evaluate.split=null",
            "evaluate.final=val",
            "evaluate.best=null",
            f"run.root={tmp_path}",
        ),
        quiet=True,
    )
    assert run.metrics["val/accuracy"] > 0.9


def test_the_best_checkpoint_is_kept_and_is_the_best(tmp_path):
    run = gvt.run(
        "classify.mnist",
        *("data.classes=[3, 5, 8]", "data.holdout=57000", "data.batch_size=50"),
        *("train.epochs=3", "evaluate.split=test", "evaluate.final=null"),
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
