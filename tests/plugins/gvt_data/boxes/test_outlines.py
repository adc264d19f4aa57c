"""Outlines that cannot be drawn are found when the data is opened, mostly without drawing any."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt.vision.coco import encoded
from gvt_data.boxes import outlines
from gvt_data.boxes.coco import COCO
from gvt_data.boxes.outlines import box_around, drawn, why_not_drawn

OUTLINES = {
    "of another sum": {"size": [30, 40], "counts": [5, 6]},
    "of another size": {"size": [40, 30], "counts": [5, 1195]},
    "of nothing": {"size": [30, 40], "counts": []},
    "of no text": {"size": [30, 40], "counts": ""},
    "of damaged text": {"size": [30, 40], "counts": "~~~"},
    "of two points": [[1, 2, 3, 4]],
    "of an odd number": [[1, 2, 3, 4, 5, 6, 7]],
    "of text": [["1", "2", "3", "4", "5", "6"]],
    "of truth": [[True] * 6],
    "of endless numbers": [[1, 2, 3, 4, 5, 10**400]],
    "far outside": [[1e9, 1e9, 2e9, 1e9, 2e9, 2e9]],
    "outside": [[50, 5, 60, 5, 60, 9, 50, 9]],
    "above": [[5, -9, 9, -9, 9, -2]],
    "too long": [[-9e5, 0, 9e5, 10, -9e5, 20]],
    "of no number": [[1, 2, float("nan"), 4, 5, 6]],
}


@pytest.mark.parametrize("kind", OUTLINES)
def test_outlines_that_cannot_be_drawn_are_found_at_opening(kind, formats, as_document, tmp_path):
    content = as_document()
    content["annotations"][0]["segmentation"] = OUTLINES[kind]
    root = str(formats["coco"](tmp_path / "data", content=content))
    message = (
        r"1 outline that cannot be drawn:? \(?instances_train2017\.json: annotation 1 \(cell\): \w"
    )
    with pytest.raises(gvt.DataError, match=message) as caught:
        COCO("train", root)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    for on_error in ("skip", "clip"):
        with pytest.warns(UserWarning, match=message):
            dataset = COCO("train", root, on_error=on_error)
        assert dataset[0].targets["labels"].tolist() == [1]
        assert len(dataset[0].targets["masks"]) == len(dataset[0].record.truth()["masks"]) == 1
    assert len(COCO("train", root, masks=False)[0].targets["boxes"]) == 2


@given(
    st.lists(
        st.lists(
            st.one_of(st.integers(-99, 99), st.floats(-50, 90), st.floats(), st.just(10**400)),
            max_size=9,
        ),
        max_size=2,
    )
)
@settings(max_examples=200, deadline=None)
def test_a_valid_outline_can_be_drawn(polygons):
    why = why_not_drawn(polygons, (30, 40))
    if why is None:
        assert drawn(polygons, (30, 40)).shape == (30, 40)
    else:
        try:
            assert not drawn(polygons, (30, 40)).any()
        except ValueError as error:
            assert str(error) == why


def test_many_outlines_are_checked_without_being_drawn(monkeypatch):
    monkeypatch.setattr(outlines, "drawn", lambda *_: pytest.fail("is drawn"))
    corners = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    around = np.stack([320 + 200 * np.cos(corners), 240 + 200 * np.sin(corners)], axis=1)
    assert why_not_drawn([around.ravel().tolist()], (480, 640)) is None
    assert why_not_drawn({"size": [480, 640], "counts": [7, 480 * 640 - 7]}, (480, 640)) is None


@given(st.integers(0, 8), st.integers(0, 6), st.integers(1, 9), st.integers(1, 7))
def test_the_box_around_a_mask_is_that_of_its_pixels_or_corners(left, top, across, down):
    right, bottom = min(9, left + across), min(7, top + down)
    mask = torch.zeros(1, 7, 9)
    mask[0, top:bottom, left:right] = 1
    corners = [left, top, right, top, right, bottom, left, bottom]
    for outline in (encoded(mask[0]), [corners], [corners, [*corners[2:], *corners[:2]]]):
        assert box_around(outline) == (left, top, right, bottom)


@pytest.mark.parametrize(
    "outline",
    [
        *(None, 3, "m", [], [[1, 2]], [["a"] * 6], {}, {"size": [3], "counts": [3]}),
        *({"size": [3, 3], "counts": [9]}, {"size": [3, 3], "counts": [1, 1]}),
        *({"size": ["3", 3], "counts": [1, 8]}, {"size": [1e9, 1e9], "counts": [0, 10**18]}),
        *({"size": [0, 0], "counts": []}, {"size": [-3, -3], "counts": [0, 9]}),
    ],
)
def test_an_invalid_outline_has_no_box(outline):
    assert box_around(outline) is None
