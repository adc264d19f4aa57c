"""Localisation metric: values by hand, and which objects count."""

import math
import warnings

import pytest
import torch

import gvt
from gvt_detect.localisation_metric import LocalisationMetric, mislocalised


def known(boxes, labels, **more):
    found = {"boxes": torch.tensor(boxes).float().view(-1, 4), "labels": torch.tensor(labels)}
    return found | {key: torch.tensor(value) for key, value in more.items()}


def figures(predictions, targets):
    metric = LocalisationMetric()
    metric.update(predictions, targets)
    return {name: float(value) for name, value in metric.compute().items()}


SQUARE = [0, 0, 10, 10]
PREDICTIONS = [
    known([[0, 0, 10, 5]], [1], scores=[0.9]),  # an IoU of exactly one half
    known([[0, 0, 10, 4]], [1], scores=[0.9]),  # 0.4
    known([SQUARE], [2], scores=[0.9]),  # in its place, and of another class
]
TARGETS = [known([SQUARE], [1])] * 3


def test_figures_by_hand():
    found = figures(PREDICTIONS, TARGETS)
    expected = {"accuracy": 2 / 3, "iou": (0.5 + 0.4 + 1) / 3, "localised": 1 / 3}
    assert found == pytest.approx(expected)


def test_errors_by_hand():
    assert mislocalised(PREDICTIONS, TARGETS).tolist() == pytest.approx([0, 0.6, 1])
    assert mislocalised(PREDICTIONS[1:2], [known([], [])]).tolist() == [0]


def test_images_without_an_object_do_not_count():
    nothing = known([], [])
    found = figures([*PREDICTIONS, *PREDICTIONS], [*TARGETS, *[nothing] * 3])
    assert found == figures(PREDICTIONS, TARGETS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(map(math.isnan, figures(PREDICTIONS, [nothing] * 3).values()))
        assert all(map(math.isnan, map(float, LocalisationMetric().compute().values())))


def test_the_largest_object_counts_and_ignored_ones_do_not():
    boxes, labels = [[20, 20, 24, 24], SQUARE, [0, 0, 90, 90]], [0, 1, 2]
    target = known(boxes, labels, ignored=[False, False, True])
    prediction = known([SQUARE], [1], scores=[0.5])
    assert figures([prediction], [target]) == {"accuracy": 1, "iou": 1, "localised": 1}
    del target["ignored"]
    assert figures([prediction], [target])["accuracy"] == 0
    ignored = known([SQUARE], [1], ignored=[True])
    assert math.isnan(figures([prediction], [ignored])["iou"])


def test_the_highest_score_counts_and_no_box_is_wrong():
    several = known([[50, 50, 60, 60], SQUARE], [0, 1], scores=[0.2, 0.7])
    assert figures([several], TARGETS[:1])["localised"] == 1
    nothing = known([], [], scores=[])
    assert figures([nothing], TARGETS[:1]) == {"accuracy": 0, "iou": 0, "localised": 0}
    assert mislocalised([nothing], TARGETS[:1]).tolist() == [1]


@pytest.mark.parametrize("broken", ["boxes", "scores"])
def test_nan_is_an_error(broken):
    prediction = known([SQUARE], [1], scores=[0.5])
    prediction[broken] = prediction[broken] * math.nan
    with pytest.raises(gvt.NonFiniteError, match="not a finite number"):
        figures([prediction], TARGETS[:1])
