"""A norm that gets one value a channel is refused in words that name the settings."""

import pytest
import torch
from torch import nn

import gvt
from gvt.loop.norms import explained_norms


def batch(count, side):
    images = torch.rand(count, 3, side, side)
    frame = gvt.Frame(((side, side),) * count, (side, side))
    return gvt.Batch({"image": images}, frame)


def test_a_batch_norm_names_batch_size_and_image_size():
    network = nn.Sequential(nn.Conv2d(3, 5, 8), nn.BatchNorm2d(5))
    expected = (
        r"a batch norm gets one value for each of its 5 channels, from a batch of 1 image of "
        r"8x8 pixels: raise data\.batch_size \(now 1; train\.accumulate does not help\) or "
        r"data\.size, or choose a model"
    )
    with pytest.raises(gvt.ConfigError, match=expected), explained_norms([batch(1, 8)]):
        network(batch(1, 8).images)


def test_of_a_batch_with_few_labels_it_says_how_many_the_norm_got():
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.BatchNorm1d(4))
    expected = "6 images of 4x4 pixels, of which it gets 1:"
    with pytest.raises(gvt.ConfigError, match=expected), explained_norms([batch(6, 4)]):
        network(batch(6, 4).images[:1])


def test_an_instance_norm_asks_for_larger_images_alone():
    network = nn.Sequential(nn.Conv2d(3, 5, 4), nn.InstanceNorm2d(5))
    expected = r"4 images of 4x4 pixels: raise data\.size, or"
    with pytest.raises(gvt.ConfigError, match=expected), explained_norms([batch(4, 4)]):
        network(batch(4, 4).images)


def test_other_errors_stay_what_they_are():
    with pytest.raises(ValueError, match=r"^something else$"), explained_norms([batch(1, 8)]):
        raise ValueError("something else")
