"""Layers that are torch's own, and faster on a CPU."""

import pytest
import torch

import gvt
from gvt.vision.layers import DoubleConv


@pytest.mark.parametrize("share", [0.1, 0.3, 0.75])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_its_share_and_keeps_the_mean(share, memory_format):
    torch.manual_seed(0)
    images = torch.ones(50, 7, 31, 29).contiguous(memory_format=memory_format)
    out = gvt.Dropout(share)(images)
    assert out.is_contiguous(memory_format=memory_format)
    dropped = out == 0
    count = images.numel()
    deviation = (share * (1 - share) / count) ** 0.5
    assert float(dropped.float().mean()) == pytest.approx(share, abs=5 * deviation)
    kept = out[~dropped].unique()
    assert kept.numel() == 1
    assert float(kept) == pytest.approx(1 / (1 - share), rel=2**-15)
    # No place is special: every fourth value comes of the same bits of a draw.
    for lane in range(4):
        of_lane = dropped.flatten()[lane::4].float().mean()
        assert float(of_lane) == pytest.approx(share, abs=10 * deviation)


def test_its_gradient_is_its_mask():
    images = torch.rand(3, 5, 4, 4, requires_grad=True)
    out = gvt.Dropout(0.5)(images)
    out.sum().backward()
    torch.testing.assert_close(images.grad * images, out)


def test_the_same_seed_gives_the_same_mask_and_evaluation_none():
    layer, ones = gvt.Dropout(0.5), torch.ones(999)
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(layer(ones))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(layer.eval()(ones), ones)


@pytest.mark.parametrize(("share", "sum_of_ones"), [(0.0, 100.0), (1.0, 0.0)])
def test_nothing_and_everything_can_be_dropped(share, sum_of_ones):
    assert float(gvt.Dropout(share)(torch.ones(100)).sum()) == sum_of_ones


@pytest.mark.parametrize(("norm", "layers"), [("batch", 6), ("none", 4)])
@pytest.mark.parametrize(("padding", "left"), [("same", 9), ("valid", 5)])
def test_a_double_convolution_keeps_the_size_or_takes_four_pixels(norm, layers, padding, left):
    block = DoubleConv(3, 8, norm, padding)
    assert len(block) == layers
    assert block(torch.rand(2, 3, 9, 9)).shape == (2, 8, left, left)
    convs = [layer for layer in block if isinstance(layer, torch.nn.Conv2d)]
    assert all((conv.bias is None) == (norm == "batch") for conv in convs)


def test_without_a_norm_signals_neither_fade_nor_grow():
    torch.manual_seed(0)
    blocks = torch.nn.Sequential(*(DoubleConv(64, 64, norm="none") for _ in range(6)))
    with torch.no_grad():
        out = blocks(torch.randn(4, 64, 16, 16))
    # After twelve layers torch's own initialisation leaves a fiftieth.
    assert 0.2 < float(out.square().mean().sqrt()) < 5
