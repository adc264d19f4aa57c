"""Grids of cells over each image: sizes, padding, and the choice of the map."""

import math

import pytest
import torch
from torch import nn

import gvt
from gvt_detect.cells import map_to_look_at, pooled, without_padding


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


def test_maps_with_a_margin_are_refused():
    frame = gvt.Frame(((64, 64),), (64, 64))
    with pytest.raises(gvt.ConfigError, match="10x10 cells for an image of 64x64"):
        pooled(torch.rand(1, 3, 10, 10), 16, frame, 4)


def test_the_default_is_the_coarsest_map():
    info = {"fine": (4, 8), "coarse": (8, 16)}
    assert map_to_look_at(info, None) == "coarse"
    assert map_to_look_at(info, "fine") == "fine"
    with pytest.raises(ValueError, match="the backbone has fine, coarse"):
        map_to_look_at(info, "finest")
