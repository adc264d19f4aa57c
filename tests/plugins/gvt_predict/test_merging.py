"""Objects found in tiles are those of the picture, each once."""

import itertools

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gvt
from gvt_predict.merging import merged
from gvt_predict.objects import Objects, Part
from gvt_predict.tiles import Box, grid

SIZE = (150, 190)


def seen(truth, tile):
    """Return what a detector without fault finds in a tile: of each object what is in it."""
    boxes, labels, scores, masks = [], [], [], []
    for (left, top, right, bottom), label, score in truth:
        x, y = max(left, tile.left), max(top, tile.top)
        x2, y2 = min(right, tile.right), min(bottom, tile.bottom)
        if x < x2 and y < y2:
            boxes.append([x, y, x2, y2])
            labels.append(label)
            scores.append(score)
            masks.append(Part(y, x, torch.ones(y2 - y, x2 - x, dtype=torch.bool)))
    return objects(boxes, labels, scores, masks)


def objects(boxes, labels, scores, masks=None):
    """Return objects with falling scores, as heads predict them."""
    order = sorted(range(len(scores)), key=lambda row: -scores[row])
    return Objects(
        torch.tensor([boxes[row] for row in order], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([labels[row] for row in order], dtype=torch.int64),
        torch.tensor([scores[row] for row in order], dtype=torch.float32),
        None if masks is None else tuple(masks[row] for row in order),
    )


def rows(found):
    """Return objects as a sorted list, to be compared."""
    return sorted(
        (tuple(box), label, round(score, 4))
        for box, label, score in zip(
            found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
        )
    )


@st.composite
def scenes(draw):
    """Objects of all sizes, of which none of one class touches another."""
    truth = []
    for number in range(draw(st.integers(0, 8))):
        left, top = draw(st.integers(0, SIZE[1] - 1)), draw(st.integers(0, SIZE[0] - 1))
        width, height = draw(st.integers(1, 150)), draw(st.integers(1, 120))
        box = (left, top, min(left + width, SIZE[1]), min(top + height, SIZE[0]))
        label = draw(st.integers(0, 1))
        if not any(label == other and overlap(box, b) for b, other, _ in truth):
            truth.append((box, label, 0.9 - number / 100))
    return truth


def overlap(one, other):
    return (
        one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    )  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(scenes(), st.integers(40, 90), st.integers(40, 90), st.sampled_from([0.25, 0.5]))
def test_what_a_perfect_detector_sees_in_tiles_is_what_there_is(truth, height, width, share):
    found = {tile: seen(truth, tile) for tile in grid(SIZE, (height, width), share)}
    whole = merged(found, SIZE)
    assert rows(whole) == rows(objects(*([list(v) for v in zip(*truth, strict=True)] or [[]] * 3)))
    assert whole.scores.tolist() == sorted(whole.scores.tolist(), reverse=True)
    for box, mask in zip(whole.boxes.int().tolist(), whole.masks, strict=True):
        assert mask.pixels.all()
        bottom, right = mask.top + mask.pixels.shape[0], mask.left + mask.pixels.shape[1]
        assert [mask.left, mask.top, right, bottom] == box


@settings(deadline=None, max_examples=40)
@given(scenes(), st.integers(0, 99))
def test_what_is_not_quite_exact_is_found_once_all_the_same(truth, seed):
    """Of objects that a tile and a half hold, with boxes that are some pixels wrong."""
    assume(truth)
    truth = [t for t in truth if min(t[0][2] - t[0][0], t[0][3] - t[0][1]) >= 20]
    source = gvt.random_source(seed, "boxes")
    found = {}
    for tile in grid(SIZE, (80, 80), 0.4):
        part = seen(truth, tile)
        wide = (part.boxes[:, 2:] - part.boxes[:, :2]).amin(dim=1) >= 20  # no slivers
        part = part.picked(wide.nonzero().flatten())
        shifts = torch.rand(part.boxes.shape, generator=source) * 2 - 1
        limits = part.boxes.new_tensor([tile.left, tile.top, tile.right, tile.bottom])
        inner = torch.maximum(part.boxes + shifts, limits[[0, 1, 0, 1]])
        boxes = torch.minimum(inner, limits[[2, 3, 2, 3]])
        found[tile] = Objects(boxes, part.labels, part.scores, part.masks)
    whole = merged(found, SIZE)
    assert sorted(whole.labels.tolist()) == sorted(label for _, label, _ in truth)
    for box, label, _ in truth:
        apart = (whole.boxes - torch.tensor(box)).abs().amax(dim=1)
        assert apart[whole.labels == label].min() <= 3


@settings(deadline=None)
@given(scenes())
def test_of_a_single_tile_it_is_exactly_what_was_found(truth):
    everything = seen(truth, Box(0, 0, *SIZE))
    assert merged({Box(0, 0, *SIZE): everything}, SIZE) is everything


LEFT, RIGHT = Box(0, 0, 100, 100), Box(0, 75, 100, 175)
BOTH = (100, 175)


def two(left, right):
    """Return what is made of (box, label, score) in two tiles side by side."""
    parts = [objects(*zip(*part, strict=True)) if part else objects([], [], [])
             for part in (left, right)]  # fmt: skip
    return rows(merged(dict(zip((LEFT, RIGHT), parts, strict=True)), BOTH))


def test_of_two_in_the_overlap_the_better_one_stays():
    one, other = ((80, 10, 90, 30), 0, 0.75), ((80, 11, 91, 30), 0, 0.5)
    assert two([one], [other]) == two([other], [one]) == [one]


def test_of_other_classes_and_of_one_tile_everything_stays():
    one, other = ((80, 10, 90, 30), 0, 0.75), ((80, 10, 90, 30), 1, 0.5)
    assert two([one], [other]) == [one, other]
    beside = ((80, 11, 90, 30), 0, 0.5)
    assert two([one, beside], []) == [one, beside]
    assert two([one, beside], [one, beside]) == [one, beside]


def test_a_part_gives_way_to_the_whole_though_it_is_surer_but_not_to_a_guess():
    part, whole = ((85, 10, 100, 30), 0, 0.875), ((85, 10, 130, 30), 0, 0.5)
    assert two([part], [whole]) == [whole]
    guess = ((85, 10, 130, 30), 0, 0.125)
    assert two([part], [guess]) == sorted([part, guess])


def test_parts_become_one_with_the_better_score():
    left, right = ((20, 10, 100, 30), 0, 0.5), ((75, 11, 150, 33), 0, 0.75)
    assert two([left], [right]) == [((20, 10, 150, 33), 0, 0.75)]


def test_parts_that_lie_elsewhere_in_what_both_see_stay_apart():
    left, right = ((20, 10, 100, 30), 0, 0.5), ((75, 28, 150, 60), 0, 0.75)
    assert two([left], [right]) == [left, right]


def test_two_of_a_tile_never_become_one_by_what_another_saw():
    """Only one of them is the same as the other tile's."""
    left = [((20, 10, 100, 30), 0, 0.5), ((20, 14, 100, 34), 0, 0.25)]
    right = ((75, 10, 150, 31), 0, 0.75)
    assert two(left, [right]) == [((20, 10, 150, 31), 0, 0.75), left[1]]


def test_masks_of_parts_are_put_together():
    halves = [Part(10, 20, torch.eye(80, dtype=torch.bool)), Part(12, 75, torch.ones(9, 75) > 0)]
    found = {
        tile: objects([box], [0], [0.5], [mask])
        for tile, box, mask in zip(
            (LEFT, RIGHT), ((20, 10, 100, 90), (75, 10, 150, 88)), halves, strict=True
        )
    }
    whole = merged(found, BOTH)
    expected = torch.zeros(1, *BOTH, dtype=torch.bool)
    expected[0, 10:90, 20:100] |= halves[0].pixels
    expected[0, 12:21, 75:150] = True
    assert torch.equal(whole.prediction(BOTH)["masks"], expected)


def test_many_objects_of_a_large_picture_are_found_once_each():
    size = (4000, 4000)
    truth = [
        ((x, y, x + 30, y + 20), 0, 0.9)
        for x, y in itertools.product(range(0, 3960, 100), range(0, 3960, 100))
    ]  # fmt: skip
    tiles = grid(size, (512, 512), 0.25)
    found = {tile: seen(truth, tile) for tile in tiles}
    assert sum(map(len, found.values())) > 1.2 * len(truth) > 1800
    assert rows(merged(found, size)) == rows(objects(*map(list, zip(*truth, strict=True))))
