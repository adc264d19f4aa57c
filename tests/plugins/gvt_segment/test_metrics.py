"""Segmentation metrics, computed by hand."""

import math

import pytest
import torch

from gvt_segment.metrics import LabelMetric, SegmentationMetric


def maps(*rows):
    return [{"semantic": torch.tensor(row)[None]} for row in rows]


def test_the_figures_are_those_of_the_confusion_matrix():
    metric = SegmentationMetric(4)
    # Two batches of images of unlike sizes; 255 counts for nothing.
    metric.update(maps([0, 0, 1, 1], [1, 0]), maps([0, 1, 1, 255], [1, 0]))
    metric.update(maps([0, 2, 255, 255]), maps([1, 0, 0, 255]))
    found = metric.compute()
    # Rows are the truth: of class 2 nothing is true, of class 3 nothing is true or predicted.
    assert found["confusion"].tolist() == [[2, 0, 1, 0], [2, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    iou = [2 / 5, 2 / 4, 0.0]
    dice = [4 / 7, 4 / 6, 0.0]
    assert found["iou"].tolist() == pytest.approx([*iou, math.nan], nan_ok=True)
    assert found["dice"].tolist() == pytest.approx([*dice, math.nan], nan_ok=True)
    assert found["accuracy"].tolist() == pytest.approx(
        [2 / 3, 2 / 4, math.nan, math.nan], nan_ok=True
    )
    assert found["mean_iou"].item() == pytest.approx(sum(iou) / 3)
    assert found["mean_dice"].item() == pytest.approx(sum(dice) / 3)
    assert found["pixel_accuracy"].item() == pytest.approx(4 / 7)


def test_the_figures_are_over_the_data_set_not_a_mean_over_batches():
    said, truth = torch.randint(3, (2, 6, 8, 8), generator=torch.Generator().manual_seed(0))
    whole, parts = SegmentationMetric(3), SegmentationMetric(3)
    pairs = [({"semantic": s}, {"semantic": t}) for s, t in zip(said, truth, strict=True)]
    whole.update([s for s, _ in pairs], [t for _, t in pairs])
    for start, end in ((0, 1), (1, 6)):
        parts.update([s for s, _ in pairs[start:end]], [t for _, t in pairs[start:end]])
    for name, value in whole.compute().items():
        assert torch.equal(value, parts.compute()[name])


def test_several_labels_by_hand():
    metric = LabelMetric(3)
    said = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)[:, None]
    # Two instances of label 0 that overlap, and one of label 1.
    truth = torch.tensor([[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])[:, None]
    metric.update([{"masks": said}], [{"masks": truth, "labels": torch.tensor([0, 0, 1])}])
    nothing = {"masks": torch.zeros(0, 1, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    metric.update([{"masks": torch.zeros_like(said)}], [nothing])
    found = metric.compute()
    assert found["iou"].tolist() == pytest.approx([1 / 3, 0, math.nan], nan_ok=True)
    assert found["dice"].tolist() == pytest.approx([2 / 4, 0, math.nan], nan_ok=True)
    assert found["accuracy"].tolist() == pytest.approx([1 / 2, 0, math.nan], nan_ok=True)
    assert found["mean_iou"].item() == pytest.approx(1 / 6)
    assert found["pixel_accuracy"].item() == pytest.approx(21 / 24)
