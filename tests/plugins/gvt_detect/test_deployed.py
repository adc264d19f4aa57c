"""Detections of a batch in fixed shapes, as exported programs compute them."""

import pytest
import torch

import gvt
from gvt_author.testing.stand_ins import TinyBackbone
from gvt_detect.detections import Selection, detections, detections_of_batch, filled_up

SIZE = (60, 90)


def candidates(count, boxes=40, classes=3, seed=0):
    """Return boxes (N, M, 4), some beyond the image, and scores (N, M, K)."""
    source = torch.Generator().manual_seed(seed)
    near = torch.rand(count, boxes, 2, generator=source) * 80 - 5
    sides = torch.rand(count, boxes, 2, generator=source) * 30 - 2
    scores = torch.rand(count, boxes, classes, generator=source)
    return torch.cat([near, near + sides], dim=2), scores


def left(tensors, row):
    """Return an image's detections without what they were filled up with."""
    count = int((tensors["labels"][row] >= 0).sum())
    assert (tensors["labels"][row, count:] == -1).all()
    assert not tensors["boxes"][row, count:].any()
    assert not tensors["scores"][row, count:].any()
    return {key: value[row, :count] for key, value in tensors.items()}


@pytest.mark.parametrize(
    "limits",
    [{}, {"max_detections": 5}, {"score_threshold": 0.9}, {"score_threshold": 1.0}, {"nms": 0.1}],
)
@pytest.mark.parametrize("most", [1000, 4])
def test_they_are_those_of_each_image(limits, most):
    boxes, scores = candidates(4)
    scores[2] = 0  # an image without any
    selection = Selection(**limits)
    tensors = detections_of_batch(boxes, scores, SIZE, selection, most)
    assert tensors["boxes"].shape == (4, selection.max_detections, 4)
    for row in range(4):
        found = left(tensors, row)
        expected = detections(boxes[row], scores[row], SIZE, selection, most)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value)


class Selecting(torch.nn.Module):
    def forward(self, boxes, scores):
        return detections_of_batch(boxes, scores, SIZE, Selection(max_detections=7), 20)


def test_an_exported_program_selects_any_number_of_boxes():
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(Selecting(), candidates(3), dynamic_shapes=(axes, axes)).module()
    for count, boxes, kept in ((1, 30, 30), (4, 50, 50), (2, 30, 1), (2, 30, 0)):
        values, scores = candidates(count, boxes, seed=count)
        scores[:, kept:] = 0
        found, expected = program(values, scores), Selecting()(values, scores)
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value)


def test_predictions_of_different_lengths_are_filled_up():
    whole = {
        "boxes": torch.ones(2, 4),
        "labels": torch.tensor([1, 0]),
        "masks": torch.ones(2, 3, 5, dtype=torch.bool),
    }
    predictions = [whole, {key: value[:0] for key, value in whole.items()}]
    tensors = filled_up(predictions, 3)
    assert tensors["labels"].tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert tensors["boxes"].sum(dim=(1, 2)).tolist() == [8, 0]
    assert tensors["masks"].shape == (2, 3, 3, 5)
    assert tensors["masks"].dtype == torch.bool


def heads(*names):
    torch.manual_seed(0)
    backbone = TinyBackbone((3, 64, 64))
    parameters = {"fast_rcnn": {"hidden": 8, "proposer": "windows", "proposals": 50}}
    built = {
        name: gvt.create(
            "head", name, feature_info=backbone.feature_info, num_classes=3,
            **parameters.get(name, {}),
        )
        for name in names
    }  # fmt: skip
    return gvt.MultiHead(backbone, built).eval()


def test_proposals_are_an_input_and_those_without_an_area_are_left_out():
    task = heads("fast_rcnn")
    form = task.deployed()
    assert form.inputs == {"image": "image", "proposals": "proposals"}
    assert form.dynamic["proposals"] == {0: "batch", 1: "proposals"}
    images = torch.rand(2, 3, 64, 64)
    proposals = torch.tensor([[[0.0, 0, 30, 30], [8, 8, 60, 50]], [[2, 2, 40, 60], [0, 0, 0, 0]]])
    ragged = [proposals[0], proposals[1, :1]]
    batch = gvt.Batch({"image": images, "proposals": ragged}, gvt.Frame.of(images))
    with torch.no_grad():
        tensors = dict(zip(form.outputs, form.module(images, proposals), strict=True))
        predictions = task.predict(batch)
    for row, prediction in enumerate(predictions):
        found = left(tensors, row)
        for key, value in prediction["fast_rcnn"].items():
            torch.testing.assert_close(found[key], value)


def test_single_stage_and_classifying_heads_share_a_deployed_form():
    task = heads("yolo_grid", "classifier")
    names = ["boxes", "labels", "scores"]
    assert list(task.deployed().outputs) == [
        *(f"yolo_grid/{name}" for name in names), "classifier/class", "classifier/scores",
    ]  # fmt: skip
