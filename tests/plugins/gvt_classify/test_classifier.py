"""The classifier head and its recipe."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import gvt
from gvt.checkpoint.document import read_header
from gvt.data_info import DataInfo
from gvt.session.build import build_task


def build(*overrides):
    config = gvt.compose("classify.mnist", overrides)
    return build_task(config, DataInfo(tuple("0123456789"), (1, 28, 28)))


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
    predictions = [
        of_heads["digit"] for of_heads in task.predict(gvt.Batch({"image": images}, frame))
    ]
    torch.testing.assert_close(torch.stack([p["scores"] for p in predictions]), x.softmax(1))
    assert [int(p["class"]) for p in predictions] == x.argmax(1).tolist()


@pytest.mark.parametrize("grid", [1, 2])
def test_any_feature_map_is_averaged_to_the_grid(grid):
    head = gvt.create("head", "classifier", feature_info={"a": (4, 8)}, num_classes=3, grid=grid)
    features = {"a": torch.rand(2, 4, 6, 6)}
    batch = gvt.Batch.of_images(torch.zeros(2, 3, 48, 48))
    logits = head(features, batch)
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
        ({"label_smoothing": 1.0}, "label_smoothing: .*less than 1"),
        ({"class_weights": [1, 2]}, r"class_weights \[1.0, 2.0\]: .* each of the 3 classes"),
        ({"class_weights": [1, 2, 0]}, "class_weights.*greater than 0"),
        ({"class_weights": "balanced"}, r"number of samples of each class, but this data set"),
        ({"label_smoothing": 0.1, "loss": "MultiMarginLoss"}, "are for the cross entropy"),
    ],
)
def test_impossible_numbers_are_one_line(parameters, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        classifier(3, **parameters)
    assert "\n" not in str(caught.value)


def loss_of(head, logits, classes):
    (value,) = head.loss(logits, gvt.Targets({"class": classes})).values()
    return value


def test_classes_are_weighted_by_hand():
    # 6 samples: 1 of class 0, none of class 1, 3 of class 2, 2 of class 3; three classes occur.
    head = classifier(4, class_weights="balanced", class_counts=(1, 0, 3, 2))
    torch.testing.assert_close(head.class_weights, torch.tensor([2.0, 1.0, 2 / 3, 1.0]))
    logits, truth = torch.randn(5, 4), torch.tensor([0, 2, 2, 3, 0])
    losses = -logits.log_softmax(1)[range(5), truth]
    weights = torch.tensor([2.0, 2 / 3, 2 / 3, 1.0, 2.0])
    expected = (weights * losses).sum() / weights.sum()
    torch.testing.assert_close(loss_of(head, logits, truth), expected)
    given = classifier(4, class_weights=[2.0, 5.0, 2 / 3, 1.0])
    torch.testing.assert_close(loss_of(given, logits, truth), expected)


def test_class_weights_are_no_part_of_a_checkpoint():
    assert (
        classifier(2, class_weights=[1, 3]).state_dict().keys() == classifier(2).state_dict().keys()
    )


def test_labels_are_smoothed_by_hand():
    logits, truth = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    smoothed = torch.full((6, 3), 0.3 / 3)
    smoothed[range(6), truth] += 0.7
    expected = -(smoothed * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss_of(classifier(3, label_smoothing=0.3), logits, truth), expected)


@pytest.mark.parametrize("parameters", [{}, {"class_weights": [1, 2, 5]}, {"label_smoothing": 0.2}])
def test_shares_of_the_classes_are_learned_as_numbers_are(parameters):
    head, logits = classifier(3, **parameters), torch.randn(4, 3)
    shares = torch.tensor([[0.5, 0.5, 0], [0.1, 0.2, 0.7], [0, 1, 0], [0, 0, 1]])
    s = parameters.get("label_smoothing", 0.0)
    weights = torch.tensor(parameters.get("class_weights", [1.0, 1.0, 1.0]))
    truth = shares * (1 - s) + s / 3
    expected = -(weights * truth * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss_of(head, logits, shares), expected)


def published(folder, classes=5, channels=4, metadata=True, bias=True):
    """Write a file as `gvt import` does, and return its path with the layer's weight and bias."""
    torch.manual_seed(0)
    tensors = {"stem.weight": torch.rand(2, 2), "fc.weight": torch.rand(classes, channels)}
    tensors |= {"fc.bias": torch.rand(classes)} if bias else {}
    path = folder / "published.safetensors"
    save_file(tensors, path, {"classifier": "fc"} if metadata else None)
    return str(path), tensors["fc.weight"], tensors.get("fc.bias", torch.zeros(classes))


HEADS = ["classifier", "multilabel"]


def head_on(name, weights, num_classes=5, **parameters):
    info = {"stage1": (9, 2), "final": (4, 32)}
    parameters |= {"feature_info": info, "num_classes": num_classes, "weights": weights}
    return gvt.create("head", name, **parameters)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", HEADS)
def test_the_last_layer_comes_of_a_published_network(name, bias, tmp_path):
    path, weight, offset = published(tmp_path, bias=bias)
    features = {"final": torch.rand(2, 4, 3, 3)}
    expected = features["final"].mean(dim=(2, 3)) @ weight.T + offset
    batch = gvt.Batch.of_images(torch.rand(2, 3, 6, 6))
    torch.testing.assert_close(head_on(name, path)(features, batch), expected)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("file", "parameters", "says"),
    [
        ({}, {"num_classes": 3}, "has 5 classes, but the data has 3; leave weights out"),
        ({"channels": 7}, {}, "is 5 x 7, but the backbone's coarsest map has 4 channels"),
        ({"metadata": False}, {}, "does not name the layer that classifies"),
        ({}, {"hidden": [8]}, r"set hidden=\[\] and grid=1"),
        ({}, {"grid": 2}, r"set hidden=\[\] and grid=1"),
        (None, {}, "there is no file"),
        (b"no tensors", {}, "cannot be read"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(name, file, parameters, says, tmp_path):
    path = str(tmp_path / "published.safetensors")
    if isinstance(file, bytes):
        (tmp_path / "published.safetensors").write_bytes(file)
    elif file is not None:
        path, *_ = published(tmp_path, **file)
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        head_on(name, path, **parameters)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_loads_without_the_file_of_its_weights(tmp_path):
    path, weight, _ = published(tmp_path, classes=2, channels=8)
    run = gvt.run(
        "classify.mnist",
        *("data.classes=[3, 5]", "data.holdout=59000", "train.steps=2", "evaluate={}"),
        *("backbone.widths=[8]", f"heads.digit={{name: classifier, weights: {path}}}"),
        *("train.unfreeze={heads.digit: never}", f"run.root={tmp_path}"),
        quiet=True,
    )
    Path(path).unlink()
    assert torch.equal(gvt.load(run.checkpoint).heads["digit"].layers[-1].weight, weight)
    assert gvt.resume(run.folder, "train.steps=3", quiet=True).step == 3


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("grid", [1, 2])
def test_the_maximum_of_a_map_leaves_out_the_padding(grid):
    options = {"feature_info": {"a": (4, 8)}, "num_classes": 3, "grid": grid, "pool": "max"}
    head = gvt.create("head", "classifier", **options)
    features = torch.rand(2, 4, 6, 6)
    features[1, :, :, 4:] = 9
    frame = gvt.Frame(((48, 48), (48, 32)), (48, 48))
    logits = head({"a": features}, gvt.Batch({"image": torch.zeros(2, 3, 48, 48)}, frame))
    for row, part in enumerate((features[:1], features[1:, :, :, :4])):
        alone = head({"a": part}, gvt.Batch.of_images(torch.zeros(1, 3, 48, part.shape[3] * 8)))
        torch.testing.assert_close(logits[row : row + 1], alone)
        width = part.shape[3] // grid
        cells = part.unfold(2, 6 // grid, 6 // grid).unfold(3, width, width)
        torch.testing.assert_close(alone, head.layers(cells.amax(dim=(-1, -2))))


def test_one_logit_is_the_binary_cross_entropy():
    options = {"feature_info": {"a": (4, 8)}, "num_classes": 2, "one_logit": True}
    head = gvt.create("head", "classifier", **options)
    assert sum(p.numel() for p in head.parameters()) == 5
    features = torch.rand(3, 4, 2, 2)
    outputs = head({"a": features}, gvt.Batch.of_images(torch.zeros(3, 3, 16, 16)))
    logit = head.layers(features.mean(dim=(2, 3)))[:, 0]
    truth = torch.tensor([0, 1, 1])
    loss = head.loss(outputs, gvt.Targets({"class": truth}))["cross_entropy"]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit, truth.float())
    torch.testing.assert_close(loss, expected)
    for prediction, odds in zip(head.predict(outputs), logit, strict=True):
        torch.testing.assert_close(prediction["scores"][1], odds.sigmoid())
        assert int(prediction["class"]) == int(odds > 0)
    with pytest.raises(gvt.ConfigError, match="one_logit is for two classes, and the data has 3"):
        gvt.create("head", "classifier", **{**options, "num_classes": 3})
