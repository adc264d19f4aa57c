"""Overlays: what is drawn is where it was found, and no more of the picture is touched."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gvt.vision.drawing.palette import color_of
from gvt_predict import overlay
from gvt_predict.objects import Objects, Part
from gvt_predict.overlay import _Taken, draw_objects, named_once

CLASSES = ("cell", "nucleus")


def objects(boxes, labels, masks=None):
    scores = 0.9 - torch.arange(len(boxes)) * 0.02
    return Objects(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels), scores, masks)


def drawn(size, found):
    image = Image.new("RGB", size, (200, 200, 200))
    draw_objects(image, [found], CLASSES)
    return np.array(image)


@pytest.mark.parametrize(("side", "line"), [(96, 1), (640, 2), (4000, 12)])
def test_lines_grow_with_the_picture_and_lie_within_the_box(side, line):
    box = [side * share for share in (0.25, 0.5, 0.75, 0.875)]
    pixels = drawn((side, side), objects([box], [1]))
    left, top, right, bottom = map(int, box)
    color = np.array(color_of(1))
    row = (top + bottom) // 2 + side // 8  # beside the name
    for x in (left, left + line - 1, right - 1, right - line):
        assert (pixels[row, x] == color).all()
    assert (pixels[bottom - line : bottom, left:right] == color).all()
    for x in (left - 1, left + line, right, right - line - 1):
        assert (pixels[row, x] == 200).all()
    assert (pixels[bottom:] == 200).all()


def test_letters_are_no_larger_than_small_objects_bear():
    boxes = [[x, y, x + 24.0, y + 24.0] for x in range(100, 3900, 400) for y in (900, 1900)]
    pixels = drawn((4000, 4000), objects(boxes, [0] * len(boxes)))
    touched = (pixels != 200).any(axis=2)
    assert touched.sum() < len(boxes) * 24 * 24 * 4


def test_names_stay_in_the_picture_and_beside_each_other():
    boxes = [[0.0, 0, 60, 60], [250, 0, 300, 60], [250, 1, 299, 60], [0, 190, 40, 200]]
    first, second = np.array(color_of(0)), np.array(color_of(1))
    pixels = drawn((300, 200), objects(boxes, [0, 1, 1, 0]))
    above = (pixels[185:189, :40] == first).all(axis=2)
    assert above.any(axis=0).sum() > 30
    of_lines = (pixels[:, 235:248] == second).all(axis=2).any(axis=1)  # left of both boxes
    assert of_lines.sum() > 20  # of two lines with ten pixels each, not one upon the other
    alone = drawn((300, 200), objects(boxes[:2], [0, 1]))
    assert (alone[:, 235:248] == second).all(axis=2).any(axis=1).sum() < 18


def test_where_there_is_no_room_the_surer_names_stay_legible():
    """The boxes of the others are there, and so is nothing of what is written on them."""
    boxes = [[10.0, 4, 40, 28]] * 12
    pixels = drawn((60, 32), objects(boxes, [0] + [1] * 11))
    few = drawn((60, 32), objects(boxes[:4], [0] + [1] * 3))
    assert (pixels == few).all()


def test_masks_are_half_transparent_and_where_they_are():
    mask = Part(30, 40, torch.ones(20, 10, dtype=torch.bool))
    pixels = drawn((200, 200), objects([[30.0, 20, 120, 120]], [0], (mask,)))
    expected = (np.array(color_of(0)) + 200) / 2
    assert (np.abs(pixels[32:48, 41:49] - expected) <= 1).all()
    assert (pixels[60:100, 60:100] == 200).all()


def several(size, *found, **how):
    image = Image.new("RGB", size, (200, 200, 200))
    draw_objects(image, found, CLASSES, **how)
    return np.array(image)


def test_masks_are_outlined_where_pixels_are_painted_already():
    mask = Part(30, 40, torch.ones(20, 12, dtype=torch.bool))
    found = objects([[30.0, 20, 120, 120]], [0], (mask,))
    pixels = several((200, 200), found, outlined=True)
    assert (pixels[30:50, [40, 51]] == color_of(0)).all()
    assert (pixels[[30, 49], 40:52] == color_of(0)).all()
    assert (pixels[31:49, 41:51] == 200).all()


def test_an_object_that_two_heads_find_is_named_once_with_both_scores():
    one = objects([[10.0, 10, 50, 50], [60, 60, 90, 90]], [0, 1])
    boxes = [[12.0, 10, 52, 50], [11, 10, 51, 50], [60, 60, 90, 90], [100, 100, 110, 110]]
    other = objects(boxes, [0, 0, 0, 1])
    found = named_once([one, other])
    assert [(box[0], label, [round(s, 2) for s in scores]) for box, label, scores in found] == [
        (10, 0, [0.9, 0.9]), (60, 1, [0.88]),  # the last one's other is of another class
        (11, 0, [0.88]), (60, 0, [0.86]), (100, 1, [0.84]),
    ]  # fmt: skip
    assert named_once([objects([], []), one]) == named_once([one, objects([], [])])


def test_of_several_heads_each_has_lines_of_its_own():
    box = objects([[20.0, 30, 180, 190]], [1])
    whole = several((200, 200), box)
    counts = []
    for number in range(3):
        pixels = several((200, 200), *([objects([], [])] * number), box)
        row = (pixels[189, 20:180] == color_of(1)).all(axis=-1)
        counts.append(int((np.diff(row.astype(int), prepend=0) == 1).sum()))
        assert (pixels[190:] == 200).all()
    assert counts[0] == 1 < counts[1] < counts[2]
    assert (several((200, 200), box, box)[189] == whole[189]).all()  # the first is on top


def test_outlines_of_classes_do_not_depend_on_the_parts_that_are_painted(monkeypatch):
    semantic = torch.randint(0, 3, (90, 8), generator=torch.Generator().manual_seed(0))
    part = {"semantic": semantic.repeat_interleave(6, dim=1).to(torch.uint8).numpy()}
    drawn = []
    for pixels in (1 << 20, 48 * 7):
        monkeypatch.setattr(overlay, "_PART", pixels)
        image = Image.new("RGB", (48, 90))
        assert overlay.painted(image, part, 2, outlined=True) == {0, 1}
        drawn.append(np.array(image))
    assert (drawn[0] == drawn[1]).all()
    assert drawn[0].any()
    assert (drawn[0][part["semantic"] == 2] == 0).all()


def test_nothing_found_leaves_the_picture_as_it_is():
    assert (drawn((50, 40), objects([], [], ())) == 200).all()


@pytest.mark.parametrize("box", [[0.0, 0, 1, 1], [49.0, 39, 50, 40], [3.2, 3.2, 3.4, 3.4],
                                 [0, 0, 50, 40], [50, 40, 50, 40]])  # fmt: skip
def test_boxes_of_any_size_are_drawn_on_pictures_of_any_size(box):
    assert (drawn((50, 40), objects([box], [1])) != 200).any()
    assert (drawn((1, 1), objects([[0.0, 0, 1, 1]], [1])) != 200).any()


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 300)] * 2, *[st.integers(1, 90)] * 2), max_size=20))
def test_what_a_place_shares_with_others_is_found_by_cells_as_by_looking_at_all(places):
    taken, pixels = _Taken(11), np.zeros((400, 400), int)
    for left, top, width, height in places:
        rows, columns = slice(top, top + height), slice(left, left + width)
        assert taken.shared((left, top, left + width, top + height)) == pixels[rows, columns].sum()
        if not pixels[rows, columns].any():  # or a place could be there twice, and count once
            taken.add((left, top, left + width, top + height))
            pixels[rows, columns] = 1


def test_thousands_of_names_are_each_compared_with_their_neighbours(monkeypatch):
    compared, area = [], overlay._area
    monkeypatch.setattr(overlay, "_area", lambda *both: compared.append(both) or area(*both))
    boxes = [[x, y, x + 40.0, y + 20] for x in range(0, 2400, 60) for y in range(20, 2000, 40)]
    drawn((2400, 2000), objects(boxes, [0] * len(boxes)))
    assert len(boxes) == 2000
    assert len(compared) < 60 * len(boxes)
