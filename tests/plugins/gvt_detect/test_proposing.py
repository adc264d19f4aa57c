"""Proposals: their positions, reproducibility, and missing OpenCV."""

import sys
from dataclasses import replace

import pytest
import torch
from torchvision.ops import box_iou

import gvt
from gvt_detect.proposing import proposals_in, proposals_of, windows


@pytest.fixture(scope="module")
def scenes():
    return gvt.create("dataset", "scenes", split="val", held_out=12, size=96)


def batch_of(images, sizes=None, **inputs):
    canvas = tuple(images.shape[-2:])
    return gvt.Batch(
        {"image": images, **inputs}, gvt.Frame(tuple(sizes or [canvas] * len(images)), canvas)
    )


def recall(scenes, proposer, most):
    """Return the share of objects with a proposal of an IoU of at least 0.5."""
    best = []
    for index in range(len(scenes)):
        sample = scenes[index]
        proposals = proposals_in(sample.image, proposer, most)
        best.append(box_iou(sample.targets["boxes"], proposals).amax(dim=1))
    return float((torch.cat(best) >= 0.5).float().mean())


# --- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (17, 16), (96, 128), (480, 640)])
@pytest.mark.parametrize("most", [1, 7, 100, 2000])
def test_windows_are_in_the_image_unique_and_limited(size, most):
    found = windows(size, most)
    assert found.dtype == torch.float32 and 1 <= len(found) <= most
    assert len(torch.unique(found, dim=0)) == len(found)
    assert (found[:, 2:] > found[:, :2]).all()
    assert (found >= 0).all() and (found <= torch.tensor([*size[::-1]] * 2)).all()


@pytest.mark.parametrize("most", [60, 300, 2000])
def test_any_number_of_windows_covers_an_image_evenly(most):
    found = windows((48, 64), most)
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    points = torch.stack([x, y], dim=-1).reshape(-1, 1, 2)
    covered = ((points > found[:, :2]) & (points < found[:, 2:])).all(dim=-1).sum(dim=1)
    quarters = covered.reshape(2, 24, 2, 32).sum(dim=(1, 3)).float()
    assert covered.min() >= 1
    assert quarters.min() / quarters.max() > 0.9


def test_more_windows_find_more(scenes):
    few, many = (recall(scenes, "windows", most) for most in (200, 2000))
    assert few < many and many > 0.9


# --- selective search ------------------------------------------------------------------------


def test_selective_search_finds_the_objects_with_few_boxes(scenes):
    assert recall(scenes, "selective_search", 2000) > 0.95
    fast, thorough = (
        len(proposals_in(scenes[0].image, proposer, 2000))
        for proposer in ("selective_search", "selective_search_quality")
    )
    assert 5 < fast < thorough


def test_it_finds_the_same_boxes_in_the_same_order_every_time(scenes):
    image = scenes[1].image
    first = proposals_in(image, "selective_search", 2000)
    torch.rand(3)
    proposals_in(scenes[2].image, "selective_search", 2000)
    assert torch.equal(proposals_in(image, "selective_search", 2000), first)
    assert torch.equal(proposals_in(image.float() / 255, "selective_search", 2000), first)
    assert torch.equal(proposals_in(image, "selective_search", 5), first[:5])


def test_it_does_not_change_the_state_of_random_generators(scenes):
    before = torch.get_rng_state()
    proposals_in(scenes[0].image, "selective_search", 10)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (5, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_and_grey_pictures(size, channels):
    torch.manual_seed(0)
    image = torch.randint(0, 256, (channels, *size), dtype=torch.uint8)
    height, width = size
    found = proposals_in(image, "selective_search", 10)
    assert [0, 0, width, height] in found.tolist()
    assert (found[:, 2:] > found[:, :2]).all()


def test_grey_equals_three_equal_channels(scenes):
    grey = scenes[0].image[:1]
    assert torch.equal(
        proposals_in(grey, "selective_search", 99),
        proposals_in(grey.expand(3, -1, -1), "selective_search", 99),
    )


def test_colours_separate_objects():
    image = torch.full((3, 40, 40), 90, dtype=torch.uint8)
    image[0, 8:24, 10:30] = 230
    found = proposals_in(image, "selective_search", 99)
    assert box_iou(torch.tensor([[10.0, 8, 30, 24]]), found).max() > 0.9


def test_unsupported_channels_are_one_line():
    with pytest.raises(gvt.ConfigError, match="these have 5 channels; use proposer: windows"):
        proposals_in(torch.zeros(5, 8, 8), "selective_search", 9)


def test_without_opencv_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "cv2.ximgproc", raising=False)
    with pytest.raises(gvt.ConfigError, match=r"gvt\[selective-search\]") as error:
        proposals_in(torch.zeros(3, 8, 8), "selective_search", 9)
    assert "\n" not in str(error.value)
    assert len(proposals_in(torch.zeros(3, 8, 8), "windows", 9)) == 9


# --- of a batch ------------------------------------------------------------------------------


@pytest.mark.parametrize("proposer", ["windows", "selective_search"])
def test_the_padding_is_not_looked_at(scenes, proposer):
    image = scenes[0].image.float() / 255
    images = torch.zeros(2, 3, 96, 96)
    images[0], images[1, :, :60, :80] = image, image[:, :60, :80]
    whole, part = proposals_of(batch_of(images, [(96, 96), (60, 80)]), proposer, 500)
    assert torch.equal(whole, proposals_in(image, proposer, 500))
    assert torch.equal(part, proposals_in(image[:, :60, :80], proposer, 500))
    assert (part <= torch.tensor([80.0, 60, 80, 60])).all()


def test_proposals_of_the_data_are_used_and_missing_ones_computed():
    given = [torch.tensor([[1.0, 2, 9, 9], [5, 5, 40, 40], [20, 20, 30, 30]]), None]
    batch = batch_of(torch.zeros(2, 3, 16, 16), proposals=given)
    own, made = proposals_of(batch, "windows", 50)
    assert own.tolist() == [[1, 2, 9, 9], [5, 5, 16, 16]]  # clipped, and without those outside
    assert torch.equal(made, windows((16, 16), 50))
    assert [len(boxes) for boxes in proposals_of(batch, "windows", 1)] == [1, 1]


def test_proposals_of_the_data_may_be_one_tensor():
    given = torch.tensor([[[1, 2, 9, 9], [5, 5, 8, 8]], [[0, 0, 4, 4], [2, 2, 6, 6]]])
    batch = batch_of(torch.zeros(2, 3, 16, 16), proposals=given)
    found = proposals_of(batch, "windows", 50)
    assert [boxes.dtype for boxes in found] == [torch.float32] * 2
    assert torch.equal(torch.stack(found), given.float())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [torch.zeros(2, 4), torch.zeros(3, 5)],
            r"of b\.jpg: shape \(3, 5\); give a tensor \(P, 4\)",
        ),
        ([torch.zeros(4), None], r"of a\.jpg: shape \(4,\)"),
        (torch.zeros(2, 4), r"of a\.jpg: shape \(4,\)"),
        (torch.zeros(2, 3, 5), r"of a\.jpg: shape \(3, 5\)"),
        ([None, [[1, 2, 3, 4]]], r"of b\.jpg: a list"),
        ([torch.zeros(2, 4)], r"for 1 images, and the batch has 2, none for b\.jpg"),
        ([], r"for 0 images, and the batch has 2, none for a\.jpg"),
        ([torch.zeros(2, 4)] * 3, "for 3 images, and the batch has 2; give"),
    ],
)
def test_invalid_proposals_of_the_data_are_one_line(given, message):
    batch = batch_of(torch.zeros(2, 3, 16, 16), proposals=given)
    batch = replace(batch, records=[gvt.Record(name, (16, 16)) for name in ("a.jpg", "b.jpg")])
    with pytest.raises(gvt.DataError, match=message) as error:
        proposals_of(batch, "windows", 50)
    assert "\n" not in str(error.value)


def test_without_records_the_image_is_named_by_its_number():
    batch = batch_of(torch.zeros(1, 3, 16, 16), proposals=[torch.zeros(1, 3)])
    with pytest.raises(gvt.DataError, match="of image 0 of the batch: shape"):
        proposals_of(batch, "windows", 50)


def test_an_image_may_have_no_proposals():
    batch = batch_of(torch.zeros(1, 3, 16, 16), proposals=[torch.zeros(0, 4)])
    assert proposals_of(batch, "windows", 50)[0].shape == (0, 4)
