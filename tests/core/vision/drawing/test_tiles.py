"""Images as sheets show them, and the words on them."""

import pytest
import torch

from gvt.vision.drawing.tiles import as_images, as_rgb, caption


def test_what_is_outside_of_black_and_white_is_clamped():
    values = torch.tensor([-3.0, -0.01, 0.0, 0.5, 1.0, 1.01, 7.0]).view(-1, 1, 1, 1)
    drawn = [image.getpixel((0, 0)) for image in as_images(values)]
    assert drawn == [(v, v, v) for v in (0, 0, 0, 128, 255, 255, 255)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog", "dog"),
        ("Köter 犬 $x_1$", "Köter 犬 $x_1$"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("a\x00b\x1b[31m", r"a\x00b\x1b[31m"),
        ("left\u202eright\udc80", r"left\u202eright\udc80"),
        (7, "7"),
        ("x" * 24, "x" * 24),
        ("x" * 300, "x" * 23 + "…"),
        ("\n" * 300, r"\n" * 11 + "\\…"),
    ],
)
def test_a_caption_is_one_short_line(name, shown):
    assert caption(name) == shown


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2))]
)
@pytest.mark.parametrize("before", [(), (2,), (2, 3)])
def test_any_number_of_channels_becomes_three(channels, shown, before):
    images = torch.rand(*before, channels, 4, 5)
    rgb = as_rgb(images)
    assert rgb.shape == (*before, 3, 4, 5)
    for place, channel in enumerate(shown):
        assert torch.equal(rgb[..., place, :, :], images[..., channel, :, :])
