"""Feature maps of padded images: which part shows an image, and what layers see of the rest."""

import math

import pytest
import torch

import gvt
from gvt.vision.padding import blanked, inside, is_padded, pooled, without_padding

CANVAS = (128, 128)
SIZES = ((70, 128), (128, 60), CANVAS, (1, 1))
FRAME, EVEN = gvt.Frame(SIZES, CANVAS), gvt.Frame((CANVAS,) * 4, CANVAS)


@pytest.fixture
def feature():
    """Return a map of stride 16 that is not a number in the padding."""
    torch.manual_seed(0)
    feature = torch.rand(4, 3, 8, 8)
    for of_image, (height, width) in zip(feature, SIZES, strict=True):
        of_image[:, math.ceil(height / 16) :] = math.nan
        of_image[:, :, math.ceil(width / 16) :] = math.nan
    return feature


def test_a_map_is_cut_to_what_shows_each_image(feature):
    parts = without_padding(feature, 16, FRAME)
    assert [tuple(p.shape) for p in parts] == [
        (1, 3, 5, 8),
        (1, 3, 8, 4),
        (1, 3, 8, 8),
        (1, 3, 1, 1),
    ]
    assert all(p.isfinite().all() for p in parts)
    assert torch.equal(inside(feature, 16, FRAME)[:, 0], feature[:, 0].isfinite())


def test_a_side_without_padding_keeps_all_cells_of_a_map_that_has_more():
    wide = torch.rand(1, 2, 9, 9)
    (part,) = without_padding(wide, 16, gvt.Frame(((70, 128),), CANVAS))
    assert torch.equal(part, wide[:, :, :5])


def test_blank_is_zero_in_the_padding_and_the_same_in_the_image(feature):
    assert torch.equal(blanked(feature, 16, FRAME), feature.nan_to_num(0))
    assert is_padded(FRAME) and not is_padded(EVEN)
    assert blanked(feature, 16, EVEN) is feature


@pytest.mark.parametrize("side", [1, 3])
def test_cells_are_those_of_each_image_alone(side, feature):
    found = pooled(feature, 16, FRAME, side)
    assert found.shape == (4, 3, side, side) and found.isfinite().all()
    parts = without_padding(feature, 16, FRAME)
    for row, (part, size) in enumerate(zip(parts, SIZES, strict=True)):
        assert torch.equal(found[[row]], pooled(part, 16, gvt.Frame((size,), size), side))


def test_a_map_that_has_the_size_already_is_left_as_it_is():
    feature = torch.rand(2, 3, 4, 4)
    frame = gvt.Frame(((64, 64),) * 2, (64, 64))
    assert torch.equal(pooled(feature, 16, frame, 4), feature)
    halves = feature.view(2, 3, 2, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(pooled(feature, 16, frame, 2), halves)
