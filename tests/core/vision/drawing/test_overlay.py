"""What is drawn is where it was found, and no more of the image is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gvt.vision.drawing import overlay
from gvt.vision.drawing.overlay import Mark, _Labels, draw_marks, edges, outline, paint_classes
from gvt.vision.drawing.palette import color_of

CLASSES = ("cell", "nucleus")


def objects(boxes, labels, dashes=0, **mask):
    """Return marks with the names of their classes and falling scores."""
    return [
        Mark(label, box, f"{CLASSES[label]} {0.9 - row * 0.02:.2f}", dashes=dashes, **mask)
        for row, (box, label) in enumerate(zip(boxes, labels, strict=True))
    ]


def drawn(size, marks, **how):
    image = Image.new("RGB", size, (200, 200, 200))
    draw_marks(image, marks, **how)
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
    mask = {"mask": np.ones((20, 10), bool), "corner": (40, 30)}
    pixels = drawn((200, 200), objects([[30.0, 20, 120, 120]], [0], **mask))
    expected = (np.array(color_of(0)) + 200) / 2
    assert (np.abs(pixels[32:48, 41:49] - expected) <= 1).all()
    assert (pixels[60:100, 60:100] == 200).all()


def test_masks_are_outlined_where_pixels_are_painted_already():
    mask = {"mask": np.ones((20, 12), bool), "corner": (40, 30)}
    pixels = drawn((200, 200), objects([[30.0, 20, 120, 120]], [0], **mask), outlined=True)
    assert (pixels[30:50, [40, 51]] == color_of(0)).all()
    assert (pixels[[30, 49], 40:52] == color_of(0)).all()
    assert (pixels[31:49, 41:51] == 200).all()


def test_of_several_heads_each_has_lines_of_its_own():
    box = ([[20.0, 30, 180, 190]], [1])
    whole = drawn((200, 200), objects(*box))
    counts = []
    for number in range(3):
        pixels = drawn((200, 200), objects(*box, dashes=number))
        row = (pixels[189, 20:180] == color_of(1)).all(axis=-1)
        counts.append(int((np.diff(row.astype(int), prepend=0) == 1).sum()))
        assert (pixels[190:] == 200).all()
    assert counts[0] == 1 < counts[1] < counts[2]
    both = drawn((200, 200), objects(*box) + objects(*box, dashes=1))
    assert (both[189] == whole[189]).all()  # the first is on top


def test_outlines_of_classes_do_not_depend_on_the_parts_that_are_painted(monkeypatch):
    semantic = np.random.default_rng(0).integers(0, 3, (90, 8), np.uint8)
    part = {"semantic": semantic.repeat(6, axis=1)}
    drawn = []
    for pixels in (1 << 20, 48 * 7):
        monkeypatch.setattr(overlay, "_PART", pixels)
        image = Image.new("RGB", (48, 90))
        assert paint_classes(image, part, 2, outlined=True) == {0, 1}
        drawn.append(np.array(image))
    assert (drawn[0] == drawn[1]).all()
    assert drawn[0].any()
    assert (drawn[0][part["semantic"] == 2] == 0).all()


def test_nothing_found_leaves_the_picture_as_it_is():
    assert (drawn((50, 40), []) == 200).all()


@pytest.mark.parametrize("box", [[0.0, 0, 1, 1], [49.0, 39, 50, 40], [3.2, 3.2, 3.4, 3.4],
                                 [0, 0, 50, 40], [50, 40, 50, 40]])  # fmt: skip
def test_boxes_of_any_size_are_drawn_on_pictures_of_any_size(box):
    assert (drawn((50, 40), objects([box], [1])) != 200).any()
    assert (drawn((1, 1), objects([[0.0, 0, 1, 1]], [1])) != 200).any()


@pytest.mark.parametrize("box", [[-1e30, 10, 1e30, 20], [60.0, 50, 70, 60], [-9.0, -9, -5, -5]])
def test_boxes_are_drawn_as_far_as_they_are_on_the_image(box):
    pixels = drawn((50, 40), [Mark(1, box)])
    assert (pixels != 200).any()
    assert (pixels[[0, 10, 39]][:, [0, 49]] == color_of(1)).all(axis=-1).any()


def test_only_classes_are_painted():
    image = Image.new("RGB", (5, 1), (100, 100, 100))
    maps = {"semantic": np.array([[0, 1, 2, 254, 255]], np.uint8)}
    assert paint_classes(image, maps, 0) == set()  # there may be no class at all
    assert (np.array(image) == 100).all()
    assert paint_classes(image, maps, 2) == {0, 1}
    expected = [[50 + c / 2 for c in color_of(n)] for n in (0, 1)]
    assert np.abs(np.array(image)[0, :2] - expected).max() <= 1
    assert (np.array(image)[0, 2:] == 100).all()


def test_where_classes_overlap_both_are_painted():
    image = Image.new("RGB", (3, 1))
    masks = np.array([[[True, True, False]], [[False, True, True]]])
    assert paint_classes(image, {"masks": masks}, 2) == {0, 1}
    first, both, second = np.array(image)[0].astype(int)
    assert np.abs(first - np.array(color_of(0)) / 2).max() <= 1
    assert np.abs(second - np.array(color_of(1)) / 2).max() <= 1
    assert np.abs(both - (first + np.array(color_of(1))) / 2).max() <= 1


places = st.lists(st.tuples(*[st.integers(0, 300)] * 2, *[st.integers(1, 90)] * 2), max_size=20)


@settings(deadline=None)
@given(places, st.sampled_from([1 << 24, 40_000, 900]))
def test_what_is_written_on_is_known_to_a_pixel_or_to_a_cell_of_a_large_image(places, cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay, "_MOST_CELLS", cells)
        labels = _Labels(Image.new("RGB", (400, 400)), 11)
    side, taken = labels._cell, np.zeros((400, 400), bool)
    assert (side == 1) == (cells >= 400 * 400)
    assert labels._taken.size <= 1.1 * cells
    for left, top, width, height in places:
        found = labels._part((left, top, left + width, top + height))
        free = not taken[top : top + height, left : left + width].any()
        assert found.any() or free
        if side == 1:
            assert found.any() != free
        found[:] = True
        taken[top : top + height, left : left + width] = True
    exact = labels._taken.repeat(side, axis=0).repeat(side, axis=1)[:400, :400]
    assert exact[taken].all()


def test_a_name_among_thousands_costs_what_it_would_alone(monkeypatch):
    part = _Labels._part
    looked_at: list[int] = []

    def watched(labels, sides):
        looked_at.append(part(labels, sides).size)
        return part(labels, sides)

    monkeypatch.setattr(_Labels, "_part", watched)
    boxes = [[x, y, x + 40.0, y + 20] for x in range(0, 2400, 60) for y in range(20, 2000, 40)]
    drawn((2400, 2000), [Mark(0, box, "cell 0.90") for box in boxes])
    assert len(boxes) == 2000
    together = sum(looked_at)
    looked_at.clear()
    drawn((2400, 2000), [Mark(0, boxes[0], "cell 0.90")])
    assert 0 < together <= 2000 * sum(looked_at)


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
