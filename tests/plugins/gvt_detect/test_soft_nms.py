"""Soft non-maximum suppression against the paper's loop."""

import math

import pytest
import torch
from torchvision.ops import box_iou, nms

from gvt_detect.soft_nms import SIGMA, soft_nms


def by_the_paper(boxes, scores, method, iou):
    """Return (index, score) of the boxes of one class, as in figure 2 of the paper."""
    left, scores, found = list(range(len(boxes))), scores.tolist(), []
    while left:
        best = max(left, key=lambda i: scores[i])
        left.remove(best)
        found.append((best, scores[best]))
        for i in left:
            overlap = float(box_iou(boxes[best][None], boxes[i][None]))
            if method == "gaussian":
                scores[i] *= math.exp(-(overlap**2) / SIGMA)
            elif overlap > iou:
                scores[i] *= 1 - overlap
    return found


def crowd(count=40):
    torch.manual_seed(0)
    near = torch.rand(count, 2) * 50
    return torch.cat([near, near + 10 + torch.rand(count, 2) * 30], dim=1), torch.rand(count)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_each_class_is_suppressed_by_itself_as_in_the_paper(method):
    boxes, scores = crowd()
    labels = torch.arange(len(boxes)) % 3
    expected = []
    for label in range(3):
        own = (labels == label).nonzero().flatten()
        of_class = by_the_paper(boxes[own], scores[own], method, 0.3)
        expected += [(int(own[index]), score) for index, score in of_class]
    expected.sort(key=lambda pair: -pair[1])

    order, lowered = soft_nms(boxes, scores, labels, method, 0.3, count=len(boxes))
    assert order.tolist() == [index for index, _ in expected]
    torch.testing.assert_close(lowered, torch.tensor([score for _, score in expected]))
    few, _ = soft_nms(boxes, scores, labels, method, 0.3, count=5)
    assert few.tolist() == order[:5].tolist()


def test_a_duplicate_box_comes_last_and_no_box_is_repeated():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.1])
    order, lowered = soft_nms(boxes, scores, torch.zeros(3, dtype=torch.int64), "linear", 0.5, 9)
    assert order.tolist() == [0, 2, 1]
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.1, 0.0]))


def test_boxes_apart_keep_their_scores():
    boxes, scores = crowd()
    apart = nms(boxes, scores, 0.0)
    labels = torch.zeros(len(apart), dtype=torch.int64)
    order, lowered = soft_nms(boxes[apart], scores[apart], labels, "gaussian", 0.5, 100)
    assert order.tolist() == list(range(len(apart)))
    assert torch.equal(lowered, scores[apart])


def test_no_boxes():
    order, lowered = soft_nms(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), "linear", 0.5, 100
    )
    assert (order.shape, order.dtype, lowered.shape) == ((0,), torch.int64, (0,))
