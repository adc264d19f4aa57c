"""Images as sheets show them."""

import io

import pytest
import torch
from PIL import Image

import gvt
from gvt.data.image_fields import as_rgb


def test_what_is_outside_of_black_and_white_is_clamped():
    values = torch.tensor([-3.0, -0.01, 0.0, 0.5, 1.0, 1.01, 7.0]).view(-1, 1, 1, 1)
    pixels = as_rgb(values)
    assert (pixels.shape, pixels.dtype) == ((7, 3, 1, 1), torch.uint8)
    assert pixels[:, :, 0, 0].tolist() == [[v] * 3 for v in (0, 0, 0, 128, 255, 255, 255)]


@pytest.mark.parametrize(
    ("channels", "shown"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2))]
)
def test_any_number_of_channels_becomes_three(channels, shown):
    images = torch.randint(256, (2, channels, 4, 5)) / 255
    rgb = as_rgb(images)
    assert rgb.shape == (2, 3, 4, 5)
    for place, channel in enumerate(shown):
        assert torch.equal(rgb[:, place] / 255, images[:, channel])


def sheet(pictures):
    [(suffix, content)] = gvt.Shown.of(pictures).files()
    assert suffix == ".png"
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_a_single_picture_has_no_frame():
    image = sheet(torch.ones(1, 1, 3, 3))
    assert image.size == (3, 3)
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_a_sheet_is_arranged_as_its_pictures_are():
    assert sheet(torch.rand(1, 10, 1, 4, 4)).size == (10 * 6 + 2, 6 + 2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_its_pictures(channels):
    pictures = torch.rand(5, channels, 7, 9)
    image = sheet(pictures)
    assert image.size == (3 * 11 + 2, 2 * 9 + 2)
    assert image.getpixel((0, 0)) == (128, 128, 128)
    expected = pictures[4].expand(3, -1, -1).mul(255).round()[:, 3, 5]
    assert list(image.getpixel((2 + 11 + 5, 2 + 9 + 3))) == expected.tolist()
