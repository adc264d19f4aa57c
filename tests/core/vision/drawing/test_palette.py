"""One colour for each class."""

import numpy as np
import pytest
from PIL import Image

from gvt.vision.drawing.palette import color_of, indexed_palette


def test_no_two_classes_have_one_colour():
    colors = [color_of(number) for number in range(255)]
    assert len(set(colors)) == 255
    assert all(0 <= value <= 255 for color in colors for value in color)
    first = np.array(colors[:20], int)
    distances = np.abs(first[:, None] - first).sum(axis=2) + 1000 * np.eye(20, dtype=int)
    assert distances.min() > 40


@pytest.mark.parametrize("background", [True, False])
def test_an_indexed_mask_shows_the_colours_of_its_classes(background, tmp_path):
    image = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    image.putpalette(indexed_palette(background))
    image.save(tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as mask:
        assert np.array(mask).tolist() == [[*range(256)]]
        shown = np.array(mask.convert("RGB"))[0]
    assert tuple(shown[1]) == color_of(0 if background else 1)
    assert tuple(shown[0]) == ((0, 0, 0) if background else color_of(0))
    assert tuple(shown[255]) == (224, 224, 192)
