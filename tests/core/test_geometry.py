"""Predictions come back to the pixels of the original image."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gvt
from gvt import geometry
from gvt.geometry import boxes_through, to_original
from gvt.vision.pictures.fitting import fitted


def affine(scale_x=1.0, scale_y=1.0, shift_x=0.0, shift_y=0.0):
    rows = [[scale_x, 0, shift_x], [0, scale_y, shift_y], [0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


@settings(deadline=None)
@given(
    st.floats(0.1, 10), st.floats(0.1, 10), st.floats(-50, 50), st.floats(-50, 50),
    st.lists(st.tuples(*[st.floats(0, 100)] * 4), max_size=4),
)  # fmt: skip
def test_boxes_sent_to_the_canvas_come_back(scale_x, scale_y, shift_x, shift_y, corners):
    original = torch.tensor(
        [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]
    ).reshape(-1, 4)
    matrix = affine(scale_x, scale_y, shift_x, shift_y)
    prediction = {"boxes": boxes_through(matrix, original), "labels": torch.zeros(len(original))}
    (back,) = to_original([prediction], [gvt.Record("a", (100, 100), matrix)])
    torch.testing.assert_close(back["boxes"], original, atol=1e-2, rtol=1e-3)


def test_boxes_are_clipped_to_the_image():
    prediction = {"boxes": torch.tensor([[-5.0, -5.0, 50.0, 90.0]])}
    (back,) = to_original([prediction], [gvt.Record("a", (30, 20))])
    assert back["boxes"].tolist() == [[0, 0, 20, 30]]


def test_masks_and_maps_follow_an_enlargement_with_padding():
    small = torch.tensor([[0, 1, 2], [3, 4, 5]])
    canvas = torch.full((6, 8), 9)
    canvas[:4, :6] = small.repeat_interleave(2, 0).repeat_interleave(2, 1)
    record = gvt.Record("a", (2, 3), affine(2, 2))
    prediction = {"semantic": canvas, "masks": torch.stack([canvas == 5, canvas == 0])}
    (back,) = to_original([prediction], [record])
    assert torch.equal(back["semantic"], small)
    assert torch.equal(back["masks"], torch.stack([small == 5, small == 0]))


def test_predictions_of_several_heads_are_all_placed():
    record = gvt.Record("a", (28, 28), affine(0.5, 0.5))
    boxes = {"boxes": torch.tensor([[0.0, 0, 14, 14]])}
    (back,) = to_original([{"semantic": {"class": 1}, "finder": boxes}], [record])
    assert back["finder"]["boxes"].tolist() == [[0, 0, 28, 28]]
    assert back["semantic"] == {"class": 1}


def test_outside_the_canvas_nothing_is_claimed():
    crop = {"semantic": torch.ones(2, 2, dtype=torch.int64), "masks": torch.ones(1, 2, 2)}
    (back,) = to_original([crop], [gvt.Record("a", (2, 4), affine(shift_x=-2))])
    assert back["semantic"].tolist() == [[255, 255, 1, 1]] * 2
    assert back["masks"].tolist() == [[[0, 0, 1, 1]] * 2]


def test_what_cannot_be_placed_is_an_error_that_names_the_image():
    record = gvt.Record("photo.png", (5, 5), None)
    with pytest.raises(gvt.DataError, match=r"photo\.png"):
        to_original([{"boxes": torch.zeros(0, 4)}], [record])


def test_classes_have_no_geometry():
    record = gvt.Record("photo.png", (5, 5), None)
    assert to_original([{"class": 3}], [record]) == [{"class": 3}]


@settings(deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40),
    st.sampled_from(["crop", "pad", "stretch"]), st.sampled_from([1.0, 0.875]),
)  # fmt: skip
def test_rows_and_columns_are_picked_as_grid_sample_picks_pixels(h, w, rows, columns, fit, share):
    _, matrix = fitted(Image.new("L", (w, h)), (rows, columns), fit, share=share)
    maps = torch.arange(2 * rows * columns).reshape(2, rows, columns)
    picked = geometry._picked(maps, matrix, (h, w), 255)
    turned = geometry._turned(maps, matrix, (h, w), 255)
    # A centre on the border of two canvas pixels is as near to the one as to the other.
    x = (torch.arange(w) + 0.5) * float(matrix[0, 0]) + float(matrix[0, 2])
    y = (torch.arange(h) + 0.5) * float(matrix[1, 1]) + float(matrix[1, 2])
    between = [(side - side.round()).abs() < 1e-4 for side in (y, x)]
    clear = ~(between[0][:, None] | between[1])
    assert torch.equal(picked[:, clear], turned[:, clear])
    assert picked.shape == turned.shape == (2, h, w)


def test_a_turned_map_comes_back():
    canvas = torch.tensor([[0, 1, 2], [3, 4, 5]])
    turn = torch.tensor([[0.0, 1, 0], [-1, 0, 2], [0, 0, 1]], dtype=torch.float64)
    assert not geometry.axis_parallel(turn)
    assert geometry.axis_parallel(affine(-2, 3, 5, 7))
    (back,) = to_original([{"semantic": canvas}], [gvt.Record("a", (3, 2), turn)])
    # Point (x, y) of the original is (y, 2 - x) of the canvas.
    expected = [[canvas[1 - x, y].item() for x in range(2)] for y in range(3)]
    assert back["semantic"].tolist() == expected


def test_scores_of_pixels_are_left_out_and_those_of_things_stay():
    record = gvt.Record("a", (2, 2))
    dense = {"semantic": torch.zeros(2, 2), "scores": torch.zeros(3, 2, 2)}
    things = {"masks": torch.zeros(1, 2, 2), "labels": torch.zeros(1), "scores": torch.ones(1)}
    back = to_original([dense, things], [record, record])
    assert [sorted(one) for one in back] == [["semantic"], ["labels", "masks", "scores"]]
    assert sorted(dense) == ["scores", "semantic"]
