"""Parts of R-CNN: the geometry of crops, the examples, and the SVMs' loss."""

import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from gvt_detect.crops import crops
from gvt_detect.rcnn_examples import sampled
from gvt_detect.svm import hinge_loss, scores_of

RAMP = torch.stack(torch.meshgrid(torch.arange(40) + 0.5, torch.arange(60) + 0.5, indexing="ij"))
"""An image whose two channels are the coordinates of a pixel's centre: y and x."""


# --- crops -----------------------------------------------------------------------------------


def test_a_crop_of_its_own_size_is_the_picture():
    image = torch.rand(3, 20, 30)
    (found,) = crops(image, torch.tensor([[7.0, 3, 23, 19]]), 16, 0)
    torch.testing.assert_close(found, image[:, 3:19, 7:23])


def test_a_box_of_any_proportions_fills_the_crop_except_the_context():
    (found,) = crops(RAMP, torch.tensor([[20.0, 10, 32, 16]]), 16, 2)
    # 12 crop pixels show the box, so that one is 1 of its pixels wide and 0.5 high.
    places = torch.arange(16) + 0.5 - 2
    torch.testing.assert_close(found[1], (20 + places).expand(16, 16))
    torch.testing.assert_close(found[0], (10 + places / 2)[:, None].expand(16, 16))


def test_crops_beyond_the_image_have_its_mean_colour():
    image = torch.rand(3, 20, 20)
    (found,) = crops(image, torch.tensor([[0.0, 0, 20, 20]]), 40, 10)
    torch.testing.assert_close(found[:, 10:30, 10:30], image)
    mean = image.mean(dim=(1, 2))[:, None, None]
    beyond = torch.ones(40, 40, dtype=torch.bool)
    beyond[9:31, 9:31] = False  # half a pixel around it has the edge's own colour
    torch.testing.assert_close(found[:, beyond], mean[:, 0].expand(3, int(beyond.sum())))


def test_shrinking_averages():
    board = (torch.arange(32)[:, None] + torch.arange(32)).remainder(2).float()[None]
    (found,) = crops(board, torch.tensor([[0.0, 0, 32, 32]]), 8, 0)
    torch.testing.assert_close(found, torch.full((1, 8, 8), 0.5))


def test_no_boxes_have_no_crops():
    assert crops(RAMP, torch.zeros(0, 4), 8, 1).shape == (0, 2, 8, 8)


# --- examples --------------------------------------------------------------------------------


def test_the_targets_of_each_svm():
    truth = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [4, 0, 14, 10]])
    labels = torch.tensor([0, 2, 1])
    proposals = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 4], [0, 0, 10, 2], [40, 0, 50, 10]])
    sampler = BalancedPositiveNegativeSampler(100, 1.0)
    found = sampled(proposals, truth, labels, 4, BalancedPositiveNegativeSampler(100, 0.5), 0.5)
    assert found.is_true.tolist() == [True] * 3 + [False] * 4
    torch.testing.assert_close(found.iou[3:], torch.tensor([0.8, 0.4, 0.2, 0.0]))
    assert found.labels[:6].tolist() == [0, 2, 1, 0, 0, 0]
    torch.testing.assert_close(found.matched[:6], truth[[0, 1, 2, 0, 0, 0]])
    # A true box is none of another class's, unless it overlaps one of those: 6 / 14 here.
    assert found.sides(0.3).tolist() == [
        [1, 0, -1, -1],
        [-1, -1, 1, -1],
        [0, 1, -1, -1],
        [0, 0, -1, -1],  # IoU 0.8 with class 0, and 48 / 132 with class 1
        [0, -1, -1, -1],
        [-1, -1, -1, -1],
        [-1, -1, -1, -1],
    ]
    positive = sampled(proposals, truth, labels, 4, sampler, 0.5)
    assert len(positive.boxes) == 3 + 1 + 3


def test_without_true_boxes_all_is_background():
    sampler = BalancedPositiveNegativeSampler(2, 0.5)
    none = torch.zeros(0, dtype=torch.int64)
    proposals = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 4], [0, 0, 10, 2]])
    found = sampled(proposals, torch.zeros(0, 4), none, 3, sampler, 0.5)
    assert len(found.boxes) == 2 and not found.iou.any() and not found.is_true.any()
    assert (found.sides(0.3) == -1).all()


# --- support vector machines -----------------------------------------------------------------


def test_the_hinge_loss_by_hand():
    margins = torch.tensor([[2.0, 0.5], [0.25, -3.0], [-0.5, 7.0]], requires_grad=True)
    sides = torch.tensor([[1.0, -1.0], [1.0, -1.0], [-1.0, 0.0]])
    loss = hinge_loss(margins, sides)
    # Of the first (0 + 0.75 + 0.5) / 3; of the second (1.5 + 0) / 2, for one is no example.
    assert float(loss.detach()) == pytest.approx(1.25 / 3 + 1.5 / 2)
    loss.backward()
    expected = torch.tensor([[0.0, 0.5], [-1 / 3, 0.0], [1 / 3, 0.0]])
    torch.testing.assert_close(margins.grad, expected)


def test_a_machine_without_an_example_has_no_loss():
    margins = torch.tensor([[2.0, -1.0], [0.0, 3.0]])
    assert float(hinge_loss(margins, torch.zeros(2, 2))) == 0
    assert float(hinge_loss(margins[:0], torch.zeros(0, 2))) == 0


def test_scores_are_in_the_order_of_the_margins_and_half_on_the_boundary():
    scores = scores_of(torch.tensor([-4.0, -1.0, 0.0, 1.0, 4.0]))
    assert (scores.diff() > 0).all() and scores[0] > 0 and scores[-1] < 1
    assert scores[2] == 0.5
    torch.testing.assert_close(scores[[1, 3]], torch.tensor([0.0474, 0.9526]), rtol=0, atol=1e-4)
