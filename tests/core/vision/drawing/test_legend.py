"""The legend below an image: all words are there, and the image above is untouched."""

import numpy as np
import pytest
from PIL import Image

from gvt.vision.drawing.legend import Item, with_legend
from gvt.vision.drawing.palette import color_of


def strip(size, said):
    """Return the pixels below a grey picture, which is seen to be as it was."""
    whole = np.array(with_legend(Image.new("RGB", size, (90, 90, 90)), said))
    assert whole.shape[1] == size[0]
    assert (whole[: size[1]] == 90).all()
    return whole[size[1] :]


def test_where_nothing_is_said_the_picture_is_returned():
    image = Image.new("RGB", (9, 9))
    assert with_legend(image, []) is image


def test_colours_stand_beside_names_and_lines_are_whole_or_broken():
    lines = [Item("one", dashes=0, begins=True), Item("two", dashes=1)]
    below = strip((300, 200), [*lines, Item("nucleus", color=1, begins=True)])
    assert (below == color_of(1)).all(axis=-1).sum() > 90
    assert not (below == color_of(0)).all(axis=-1).any()
    (row,) = [r for r in (below == 0).all(axis=-1) if r[:34].sum() == 30]
    starts = np.flatnonzero(np.diff(row.astype(int)) == 1)
    assert len(starts) >= 3  # the whole one, and at least two strokes of the other


@pytest.mark.parametrize("width", [1, 12, 40, 640])
def test_words_are_broken_where_the_picture_ends(width):
    said = [Item("classification of the whole: nucleus 0.93", begins=True), Item("cell", color=0)]
    below = strip((width, 40), said)
    assert len(below) > 20
    if width > 12:
        assert (below[:, -1] == 255).all()  # no letter is cut
    longer = strip((width, 40), [Item("classification of the whole: nucleus 0.93 " * 9)])
    assert len(longer) > len(below)


def test_letters_grow_with_the_picture():
    said = [Item("label: cell 0.93")]
    assert len(strip((2400, 2400), said)) > 3 * len(strip((400, 400), said))
