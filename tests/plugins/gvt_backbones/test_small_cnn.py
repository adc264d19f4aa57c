"""The textbook's convolutional network."""

import pytest
import torch

import gvt

SHAPE = (1, 28, 28)


def test_the_maps_are_as_declared():
    backbone = gvt.create("backbone", "small_cnn", image_shape=(3, 30, 40), widths=[4, 6])
    features = backbone(torch.rand(2, 3, 30, 40))
    assert backbone.feature_info == {"stage1": (4, 2), "stage2": (6, 4)}
    assert {n: tuple(f.shape) for n, f in features.items()} == {
        "stage1": (2, 4, 14, 19),
        "stage2": (2, 6, 6, 8),
    }


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        ([], "widths: .*at least 1 item"),
        ([8, 0], "widths: .*greater than 0, not"),
        ([-3], "widths: .*greater than 0, not"),
        ([4] * 4, "too small for 4 stages"),
    ],
)
def test_impossible_widths_are_one_line(widths, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        gvt.create("backbone", "small_cnn", image_shape=SHAPE, widths=widths)
    assert "\n" not in str(caught.value)
