"""The contracting half of the U-Net, and the paper's network that it is part of."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt

PAPER = {"norm": "none", "padding": "valid"}


def encoder(**parameters):
    torch.manual_seed(0)
    return gvt.create("backbone", "unet_encoder", **parameters)


def unet(backbone, **parameters):
    torch.manual_seed(0)
    known = {"feature_info": backbone.feature_info, "num_classes": 2, "up": "transpose"}
    return gvt.create("head", "unet", **known, **parameters)


def batch_of(images):
    return gvt.Batch.of_images(images)


def test_the_papers_network_has_its_published_size():
    backbone = encoder(image_channels=1, **PAPER)
    networks = (backbone, unet(backbone, **PAPER))
    assert sum(p.numel() for network in networks for p in network.parameters()) == 31_030_658


def test_the_papers_tile_gives_its_map():
    # As wide as it takes to be quick: sizes do not depend on it.
    backbone = encoder(image_channels=1, width=2, **PAPER)
    with torch.no_grad():
        maps = backbone.contract(torch.rand(1, 1, 572, 572))
        scores = unet(backbone, **PAPER).expand(maps)
    assert [m.shape[-1] for m in maps.values()] == [568, 280, 136, 64, 28]
    assert scores.shape == (1, 2, 388, 388)
    assert backbone.extended(torch.rand(1, 1, 388, 388)).shape[-2:] == (572, 572)


def test_the_sides_are_mirrored():
    images = torch.rand(2, 3, 20, 21)
    extended = encoder(width=2, depth=1, padding="valid").extended(images)
    bottom, right = (extended.shape[s] - images.shape[s] - 8 for s in (2, 3))
    assert torch.equal(extended, F.pad(images, (8, right, 8, bottom), mode="reflect"))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(0, 3))
def test_any_picture_is_covered(height, width, depth):
    backbone = encoder(width=2, depth=depth, **PAPER)
    head = unet(backbone, **PAPER)
    images = torch.rand(1, 3, height, width)
    with torch.no_grad():
        extended = backbone.extended(images)
        scores = head.expand(backbone.contract(extended))
        logits = head(backbone(images), batch_of(images))["logits"]
    assert all(0 <= scores.shape[s] - images.shape[s] < 2**depth for s in (2, 3))
    assert torch.equal(logits, scores[..., :height, :width])
    assert set(extended.unique().tolist()) == set(images.unique().tolist())


def test_far_from_the_border_the_extension_has_no_effect():
    backbone = encoder(width=4, depth=2, **PAPER)
    head = unet(backbone, **PAPER)
    images = torch.rand(1, 3, 60, 60)
    margin = 20
    with torch.no_grad():
        whole = head(backbone(images), batch_of(images))["logits"]
        inner = head.expand(backbone.contract(images))
    assert inner.shape[-1] == 60 - 2 * margin
    torch.testing.assert_close(whole[..., margin:-margin, margin:-margin], inner)


@pytest.mark.parametrize("size", [(64, 64), (37, 45), (1, 19)])
def test_maps_have_their_strides_rounded_up(size):
    backbone = encoder(image_shape=(1, *size), width=2)
    maps = backbone(torch.rand(2, 1, *size))
    assert list(maps) == list(backbone.feature_info)
    for name, (channels, stride) in backbone.feature_info.items():
        assert maps[name].shape == (2, channels, *(-(-side // stride) for side in size))
    assert all(b == (2 * a[0], 2 * a[1]) for a, b in pairwise(backbone.feature_info.values()))


@pytest.mark.parametrize("name", ["fcn", "fpn", "deeplab", "unet"])
def test_other_heads_refuse_the_margin(name):
    backbone = encoder(width=2, depth=2, padding="valid")
    head = gvt.create("head", name, feature_info=backbone.feature_info, num_classes=2)
    images = torch.rand(1, 3, 32, 32)
    with pytest.raises(
        gvt.ConfigError, match=r"'stage1' has 68x68 cells for an image of 32x32.*margin"
    ):
        head(backbone(images), batch_of(images))


def test_valid_convolutions_refuse_a_picture_without_a_margin():
    backbone = encoder(width=2, depth=2)
    head = unet(backbone, padding="valid")
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(gvt.ConfigError, match=r"leave 52x52 of an image of 64x64.*unet_encoder"):
        head(backbone(images), batch_of(images))


@pytest.mark.parametrize(
    ("parameters", "channels"),
    [({}, 3), ({"image_shape": (1, 8, 8)}, 1), ({"image_shape": None, "image_channels": 2}, 2)],
)
def test_channels_are_those_of_the_pictures(parameters, channels):
    first = next(encoder(width=2, depth=1, **parameters).parameters())
    assert first.shape == (2, channels, 3, 3)


def test_other_channels_are_refused():
    with pytest.raises(gvt.ConfigError, match="image_channels 1, and images have 3"):
        encoder(image_shape=(3, 8, 8), image_channels=1)
    with pytest.raises(ValueError, match="images of 1 channels, for a backbone of 3"):
        encoder(width=2, depth=1)(torch.rand(1, 1, 8, 8))
