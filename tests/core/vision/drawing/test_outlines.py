"""Outlines: pixels with another value beside them, as many as the line is wide."""

import numpy as np
import pytest

from gvt.vision.drawing.outlines import edges, outline


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_line_lies_on_both_sides_of_where_values_change(width):
    values = np.zeros((6, 20), np.uint8)
    values[:, 10:] = 7
    found = edges(values, width)
    assert found[:, 10 - width : 10 + width].all()
    assert found.sum() == 6 * 2 * width
    assert (edges(values.T.copy(), width) == found.T).all()


def test_at_the_border_of_a_map_nothing_ends():
    assert not edges(np.ones((4, 5)), 9).any()


def test_a_mask_is_outlined_within_itself_and_also_at_the_border():
    mask = np.zeros((12, 12), bool)
    mask[:8, 3:10] = True
    found = outline(mask, 2)
    inner = np.zeros_like(mask)
    inner[2:6, 5:8] = True
    assert (found == (mask & ~inner)).all()
    assert not outline(np.zeros((3, 3), bool)).any()
    assert outline(np.ones((1, 1), bool)).all()
