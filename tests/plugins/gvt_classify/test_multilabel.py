"""The head for pictures of several classes."""

import math
import warnings

import pytest
import torch

import gvt
from gvt_classify.multilabel import multi_hot

pytestmark = pytest.mark.usefixtures("drawn")


def head_of(num_classes, **parameters):
    info = {"a": (num_classes, 1)}
    return gvt.create(
        "head", "multilabel", feature_info=info, num_classes=num_classes, **parameters
    )


def labels(*numbers):
    return [torch.tensor(of_one, dtype=torch.int64) for of_one in numbers]


def as_logits(*scores):
    return torch.tensor(scores).logit()


def test_labels_become_a_row_of_zeros_and_ones():
    assert multi_hot(labels([2, 0], [], [1, 1]), 3).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_the_loss_by_hand():
    targets = gvt.Targets({}, {"labels": labels([0], [])})
    logits = as_logits([0.8, 0.3], [0.1, 0.4])
    terms = [math.log(0.8), math.log(0.7), math.log(0.9), math.log(0.6)]
    (value,) = head_of(2).loss(logits, targets).values()
    assert float(value) == pytest.approx(-sum(terms) / 4)
    (value,) = head_of(2, pos_weight=[3, 1]).loss(logits, targets).values()
    assert float(value) == pytest.approx(-(sum(terms) + 2 * terms[0]) / 4)
    (value,) = head_of(2, loss="MSELoss").loss(logits, targets).values()
    truth = torch.tensor([[1.0, 0], [0, 0]])
    torch.testing.assert_close(value, (logits - truth).square().mean())


def test_what_is_above_the_threshold_is_predicted():
    logits = as_logits([0.8, 0.3, 0.6], [0.1, 0.4, 0.2])
    found = head_of(3).predict(logits)
    assert [p["labels"].tolist() for p in found] == [[0, 2], []]
    torch.testing.assert_close(found[0]["scores"], torch.tensor([0.8, 0.3, 0.6]))
    lower = head_of(3, threshold=0.25).predict(logits)
    assert [p["labels"].tolist() for p in lower] == [[0, 1, 2], [1]]


def judged(head, scores, truth):
    predictions = head.predict(as_logits(*scores))
    targets = [{"labels": of_one} for of_one in labels(*truth)]
    metric = head.metric()
    metric.update(predictions[:1], targets[:1])
    metric.update(predictions[1:], targets[1:])
    return metric.compute(), head.errors(predictions, targets)


def test_the_metrics_by_hand():
    # Class 0 is told without a mistake. Of class 1 the order is: false, true, true. Class 2 is
    # nowhere true.
    scores = [[0.9, 0.7, 0.1], [0.2, 0.6, 0.1], [0.8, 0.4, 0.3]]
    found, errors = judged(head_of(3), scores, [[0], [1], [0, 1]])
    average = (1 / 2 + 2 / 3) / 2
    assert found["average_precision"][:2].tolist() == pytest.approx([1, average])
    assert found["average_precision"][2].isnan()
    assert float(found["mean_average_precision"]) == pytest.approx((1 + average) / 2)
    assert float(found["precision"]) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert float(found["recall"]) == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert errors.tolist() == pytest.approx([0.7, 0, 0.6])


def test_a_single_label_is_enough():
    with warnings.catch_warnings(action="error"):
        found, _ = judged(head_of(1), [[0.9], [0.6], [0.4]], [[0], [], [0]])
    assert float(found["f1"]) == pytest.approx(0.5)
    assert float(found["mean_average_precision"]) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"pos_weight": [1, 2]}, "give a factor for each of the 3 classes"),
        ({"pos_weight": [1, 2, 3], "loss": "MSELoss"}, "is for the binary cross entropy"),
        ({"threshold": 1}, "threshold: .*less than 1"),
    ],
)
def test_impossible_numbers_are_one_line(parameters, says):
    with pytest.raises(gvt.ConfigError, match=says):
        head_of(3, **parameters)


class Lamps:
    """Pictures of three lamps side by side, each on or off."""

    splits = ("train", "val")
    classes = ("left", "middle", "right")
    image_shape = (1, 6, 18)

    def __init__(self, split):
        self.first = 0 if split == "train" else 64

    def __len__(self):
        return 64

    def __getitem__(self, index):
        source = torch.Generator().manual_seed(self.first + index)
        on = torch.rand(3, generator=source) < 0.4
        image = torch.rand(1, 6, 18, generator=source) * 0.5
        image += on.float().repeat_interleave(6) * 0.4
        return gvt.Sample(
            {"image": image}, {"labels": on.nonzero().flatten()}, gvt.Record(f"{index}", (6, 18))
        )


def test_it_learns_which_lamps_are_on(tmp_path):
    gvt.register(gvt.Component("dataset", "lamps", Lamps, summary="Lamps"))
    recipe = {
        "task": {"name": "heads"},
        "data": {"name": "lamps", "batch_size": 16, "workers": 0},
        "backbone": {"name": "small_cnn", "widths": [8]},
        "heads": {"lamps": {"name": "multilabel", "grid": 3}},
        "optimizers": {"model": {"name": "Adam", "lr": 0.01}},
        "train": {"steps": 120},
        "evaluate": {"split": "val", "every": 60, "best": "mean_average_precision"},
        "run": {"root": str(tmp_path)},
    }
    run = gvt.run(recipe, quiet=True)
    assert run.metrics["val/mean_average_precision"] > 0.95
    assert run.metrics["val/average_precision/middle"] > 0.95
    assert run.best["value"] > 0.95
    assert (run.folder / "report.html").exists()
