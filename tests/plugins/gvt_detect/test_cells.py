"""The grid of cells over each image: sizes, padding, and which map it is made of."""

import math

import pytest
import torch
from torch import nn

import gvt
from gvt_detect.cells import map_to_look_at, pooled, without_padding


def test_what_has_the_size_already_is_left_as_it_is():
    feature = torch.rand(2, 3, 4, 4)
    frame = gvt.Frame(((64, 64),) * 2, (64, 64))
    assert torch.equal(pooled(feature, 16, frame, 4), feature)
    halves = feature.view(2, 3, 2, 2, 2, 2).mean(dim=(3, 5))
    torch.testing.assert_close(pooled(feature, 16, frame, 2), halves)


def test_cells_are_those_without_padding_and_never_of_it():
    sizes, canvas = ((70, 128), (128, 60), (128, 128), (1, 1)), (128, 128)
    feature = torch.rand(4, 3, 8, 8)
    for of_image, (height, width) in zip(feature, sizes, strict=True):
        of_image[:, math.ceil(height / 16) :] = math.nan
        of_image[:, :, math.ceil(width / 16) :] = math.nan
    found = pooled(feature, 16, gvt.Frame(sizes, canvas), 3)
    assert found.shape == (4, 3, 3, 3) and found.isfinite().all()
    for row, size in enumerate(sizes):
        own = feature[[row], :, : math.ceil(size[0] / 16), : math.ceil(size[1] / 16)]
        assert torch.equal(found[[row]], pooled(own, 16, gvt.Frame((size,), size), 3))


def test_layers_see_each_image_without_its_padding():
    sizes, canvas = ((70, 128), (128, 60), (1, 1)), (128, 128)
    feature = torch.rand(3, 4, 8, 8)
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.GroupNorm(2, 6), nn.ReLU())
    found = without_padding(layers, feature, 16, gvt.Frame(sizes, canvas))
    assert found.shape == (3, 6, 8, 8)
    for row, (height, width) in enumerate(sizes):
        h, w = math.ceil(height / 16), math.ceil(width / 16)
        torch.testing.assert_close(found[[row], :, :h, :w], layers(feature[[row], :, :h, :w]))
        assert not found[row, :, h:].any() and not found[row, :, :, w:].any()
    found.sum().backward()
    assert all(p.grad.isfinite().all() for p in layers.parameters())


def test_without_padding_all_images_go_through_the_layers_together():
    seen = []
    feature, canvas = torch.rand(3, 4, 8, 9), (128, 130)
    frame = gvt.Frame((canvas,) * 3, canvas)
    found = without_padding(lambda maps: seen.append(maps) or maps, feature, 16, frame)
    assert len(seen) == 1 and torch.equal(found, feature)


def test_maps_that_show_a_margin_are_refused():
    frame = gvt.Frame(((64, 64),), (64, 64))
    with pytest.raises(gvt.ConfigError, match="10x10 cells for a picture of 64x64"):
        pooled(torch.rand(1, 3, 10, 10), 16, frame, 4)


def test_the_coarsest_map_unless_one_is_named():
    info = {"fine": (4, 8), "coarse": (8, 16)}
    assert map_to_look_at(info, None) == "coarse"
    assert map_to_look_at(info, "fine") == "fine"
    with pytest.raises(ValueError, match="the backbone has fine, coarse"):
        map_to_look_at(info, "finest")
