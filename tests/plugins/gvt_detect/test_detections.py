"""Selection of the boxes of an image."""

import pytest
import torch

from gvt_detect.detections import Selection, detections, inside

SIZE = (50, 100)


def found_in(boxes, scores, size=SIZE, candidates=1000, **limits):
    selection = Selection(**{"score_threshold": 0.1, "max_detections": 10} | limits)
    return detections(torch.tensor(boxes), torch.tensor(scores), size, selection, candidates)


def test_non_maximum_suppression_is_within_classes():
    boxes = [[0.0, 0, 20, 20], [1.0, 0, 21, 20], [60.0, 10, 90, 40]]
    found = found_in(boxes, [[0.5, 0.7], [0.6, 0.0], [0.3, 0.05]])
    assert found["boxes"].tolist() == [boxes[0], boxes[1], boxes[2]]
    assert found["labels"].tolist() == [1, 0, 0]
    torch.testing.assert_close(found["scores"], torch.tensor([0.7, 0.6, 0.3]))
    assert found_in(boxes, [[0.5, 0.7], [0.6, 0.0], [0.3, 0.05]], nms=0.95)["scores"].numel() == 4


def test_each_class_may_have_boxes_of_its_own():
    boxes = [[[0.0, 0, 10, 10], [30.0, 30, 40, 40]], [[50.0, 0, 60, 10], [70.0, 0, 80, 10]]]
    found = found_in(boxes, [[0.2, 0.9], [0.8, 0.0]])
    assert found["boxes"].tolist() == [boxes[0][1], boxes[1][0], boxes[0][0]]
    assert found["labels"].tolist() == [1, 0, 0]


def test_boxes_are_clipped_and_those_outside_do_not_count():
    boxes = [[120.0, 0, 140, 20], [90.0, 40, 130, 70], [5.0, 5, 5, 9], [10.0, 10, 20, 20]]
    found = found_in(boxes, [[0.9], [0.8], [0.7], [0.6]], candidates=2)
    assert found["boxes"].tolist() == [[90, 40, 100, 50], [10, 10, 20, 20]]


def test_the_limit_keeps_the_highest_scores():
    boxes = [[10.0 * i, 0, 10.0 * i + 5, 5] for i in range(10)]
    scores = [[0.15 + 0.08 * i] for i in range(10)]
    assert len(found_in(boxes, scores)["scores"]) == 10
    kept = found_in(boxes, scores, max_detections=3)
    torch.testing.assert_close(kept["scores"], torch.tensor([0.87, 0.79, 0.71]))
    assert torch.equal(found_in(boxes, scores, candidates=3)["boxes"], kept["boxes"])
    assert len(found_in(boxes, scores, score_threshold=0.8)["scores"]) == 1


def test_a_frequent_class_does_not_displace_another():
    boxes = [[10.0 * i, 0, 10.0 * i + 5, 5] for i in range(10)]
    scores = [[0.9 - 0.01 * i, 0.0, 0.2 + 0.01 * i] for i in range(10)]
    found = found_in(boxes, scores, candidates=2)
    assert found["labels"].tolist() == [0, 0, 2, 2]
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.89, 0.29, 0.28]))
    assert found["boxes"].tolist() == [boxes[0], boxes[1], boxes[9], boxes[8]]
    # What is found in the end are still the surest ones of all.
    assert found_in(boxes, scores, candidates=2, max_detections=3)["labels"].tolist() == [0, 0, 2]


@pytest.mark.parametrize("count", [0, 3])
def test_no_detections_have_the_usual_shapes(count):
    found = detections(
        torch.rand(count, 4).bfloat16(),
        torch.zeros(count, 2).bfloat16(),
        SIZE,
        Selection(score_threshold=0.0, max_detections=10),
    )
    assert {key: (tuple(v.shape), v.dtype) for key, v in found.items()} == {
        "boxes": ((0, 4), torch.float32),
        "labels": ((0,), torch.int64),
        "scores": ((0,), torch.float32),
    }


def test_nan_is_kept():
    found = found_in([[0.0, 0, 10, 10], [20.0, 20, 40, 40]], [[0.5], [float("nan")]])
    assert found["scores"].isnan().sum() == 1
    found = found_in([[0.0, 0, float("nan"), 10], [20.0, 20, 40, 40]], [[0.5], [0.6]])
    assert found["boxes"].isnan().any()


def test_points_of_the_padding_are_outside():
    points = torch.tensor([[0.0, 0], [31, 9], [32, 0], [0, 10]])
    assert inside(points, ((10, 32), (40, 40))).tolist() == [
        [True, True, False, False],
        [True, True, True, True],
    ]
