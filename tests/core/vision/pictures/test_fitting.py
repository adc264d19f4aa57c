"""Every fit says exactly where each pixel went."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gvt.vision.pictures.fitting import fitted

SIDES = st.integers(1, 60)
FITS = st.sampled_from(["crop", "pad", "stretch", "within"])


def ramps(width, height):
    """Return a picture whose red tells x and whose green tells y, and is 1 in blue."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([4 * x, 4 * y, np.full_like(x, 255)], -1).astype(np.uint8))


def test_its_own_size_is_left_alone():
    image = ramps(5, 3)
    same, matrix = fitted(image, None, "crop")
    assert same is image
    assert torch.equal(matrix, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("fit", "scale", "shift"),
    [
        ("crop", (0.5, 0.5), (-5, 0)),
        ("pad", (0.25, 0.25), (0, 0)),
        ("stretch", (0.25, 0.5), (0, 0)),
        ("within", (0.25, 0.25), (0, 0)),
    ],
)
def test_what_each_fit_is(fit, scale, shift):
    _, matrix = fitted(ramps(40, 20), (10, 10), fit)
    assert matrix.tolist() == [[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]]


def test_padding_is_zeros_at_the_right_or_the_bottom():
    for (width, height), rest in (((40, 20), np.s_[5:, :]), ((20, 40), np.s_[:, 5:])):
        pixels = np.asarray(fitted(ramps(width, height), (10, 10), "pad")[0])
        assert (pixels[rest] == 0).all()
        assert (pixels[..., 2] == 255).sum() == 50


def test_padding_may_be_another_value():
    image = Image.new("L", (4, 2), 7)
    padded, _ = fitted(image, (4, 4), "pad", "nearest", fill=255)
    assert np.asarray(padded).tolist() == [[7] * 4] * 2 + [[255] * 4] * 2


def test_within_a_size_nothing_is_added():
    sizes = (((40, 20), (10, 5)), ((3, 60), (1, 10)), ((90, 1), (10, 1)), ((3, 6), (3, 6)))
    for (width, height), fits in sizes:
        image, matrix = fitted(ramps(width, height), (10, 10), "within")
        assert image.size == fits
        assert (np.asarray(image)[..., 2] == 255).all()  # and nothing is made larger
        corner = matrix @ torch.tensor([width, height, 1.0], dtype=torch.float64)
        assert corner[:2].tolist() == pytest.approx(fits)


def test_a_crop_takes_the_centre():
    image = Image.new("L", (30, 10))
    image.paste(255, (10, 0, 20, 10))
    pixels = np.asarray(fitted(image, (10, 10), "crop")[0])
    assert (pixels == 255).all()


@settings(deadline=None, max_examples=150)
@given(SIDES, SIDES, SIDES, SIDES, FITS)
def test_pixels_are_where_the_matrix_sends_them(width, height, new_width, new_height, fit):
    image, matrix = fitted(ramps(width, height), (new_height, new_width), fit)
    assert image.size == (new_width, new_height) or fit == "within"
    pixels = np.asarray(image).astype(float)
    y, x = np.mgrid[: image.height, : image.width] + 0.5
    back = np.linalg.inv(matrix.numpy())
    # The outermost pixels of a reduction or an enlargement see only one side of the ramp.
    radius = 0.5 + np.maximum(1, [back[0, 0], back[1, 1]])
    for channel, (place, scale, shift, side) in enumerate(
        [(x, back[0, 0], back[0, 2], width), (y, back[1, 1], back[1, 2], height)]
    ):
        origin = place * scale + shift
        inside = (origin > radius[channel]) & (origin < side - radius[channel])
        inside &= pixels[..., 2] > 0
        np.testing.assert_allclose(
            pixels[..., channel][inside], 4 * (origin[inside] - 0.5), atol=1.01
        )


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, SIDES, SIDES, FITS)
def test_the_fits_keep_what_they_promise(width, height, new_width, new_height, fit):
    _, matrix = fitted(ramps(width, height), (new_height, new_width), fit)
    corners = matrix.numpy() @ np.array([[0, 0, 1], [width, height, 1]]).T
    (left, right), (top, bottom), _ = corners
    assert np.linalg.det(matrix.numpy()) > 0
    if fit == "crop":
        assert matrix[0, 0] == pytest.approx(matrix[1, 1].item())
        assert left == pytest.approx(new_width - right, abs=1e-6)
        assert top == pytest.approx(new_height - bottom, abs=1e-6)
        assert left <= 1e-9 and top <= 1e-9
        assert left == pytest.approx(0, abs=1e-6) or top == pytest.approx(0, abs=1e-6)
    else:
        assert (left, top) == (0, 0)
        assert right <= new_width + 1e-9 and bottom <= new_height + 1e-9
        reached = [right == pytest.approx(new_width), bottom == pytest.approx(new_height)]
        if fit == "within" and width <= new_width and height <= new_height:
            assert (right, bottom) == (width, height)
        else:
            assert all(reached) if fit == "stretch" else any(reached)
