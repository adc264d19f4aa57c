"""The kinds of bad boxes are detected, and every kept box makes a valid target."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

import gvt
from gvt_data.boxes.annotation import Annotated, Thing
from gvt_data.boxes.box_set import BoxSet
from gvt_data.boxes.checks import KINDS, PARTLY, ROUNDING, check_images, clipped, fault
from gvt_data.boxes.duplicates import SAME

SIZE = (30, 40)

any_number = st.one_of(
    st.floats(-60, 60), st.floats(), st.sampled_from([0.0, -0.0, 30.0, 40.0, 41.0, 1e-30])
)
any_box = st.tuples(any_number, any_number, any_number, any_number)


@given(any_box)
@settings(max_examples=500)
def test_a_valid_box_stays_valid_when_it_is_clipped(box):
    kind = fault(box, SIZE)
    assert kind is None or kind in KINDS
    if kind in (None, PARTLY):
        left, top, right, bottom = np.array(clipped(box, SIZE), np.float32)
        assert 0 <= left < right <= 40
        assert 0 <= top < bottom <= 30
    if kind is None:
        moved = np.abs(np.subtract(clipped(box, SIZE), box))
        assert moved.max() <= ROUNDING
    if kind == PARTLY:
        assert np.abs(np.subtract(clipped(box, SIZE), box)).max() > ROUNDING


@given(st.integers(0, 39), st.integers(0, 29), st.floats(0.01, 1), st.floats(0.01, 1))
def test_every_box_inside_is_valid(left, top, across, down):
    box = (left, top, left + across * (40 - left), top + down * (30 - top))
    assert fault(box, SIZE) is None
    assert fault((box[2], box[1], box[0], box[3]), SIZE) == "box with reversed corners"
    assert fault((box[0], box[3], box[2], box[1]), SIZE) == "box with reversed corners"


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((5, 5, 5, 9), "box without area"),
        ((5, 9, 8, 9), "box without area"),
        ((10, 10, 10 + 1e-9, 12), "box without area"),  # none is left in float32
        ((8, 5, 5, 9), "box with reversed corners"),
        ((math.nan, 1, 2, 3), "box that is not a number"),
        ((0, 0, math.inf, 3), "box that is not a number"),
        ((40, 0, 44, 9), "box outside the image"),
        ((-9, 0, 0, 9), "box outside the image"),
        ((3, -8, 9, -1), "box outside the image"),
        ((3, 30, 9, 30.5), "box outside the image"),
        ((-1.1, 0, 5, 9), PARTLY),
        ((0, 0, 40, 31.5), PARTLY),
        ((-1, -1, 41, 31), None),
        ((0, 0, 40, 30), None),
    ],
)
def test_each_kind_of_bad_box(box, kind):
    assert fault(box, SIZE) == kind


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Return the file of a picture."""
    path = tmp_path_factory.mktemp("pictures") / "1.png"
    Image.new("RGB", SIZE[::-1]).save(path)
    return path


@given(
    boxes=st.lists(any_box, max_size=4, unique=True),
    fit=st.sampled_from(["crop", "pad", "stretch", "within"]),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    on_error=st.sampled_from(["clip", "skip"]),
)
@example(boxes=[(0, 0, 1, 30), (0, 0, 1, 31)], fit="within", size=(30, 40), on_error="clip")
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:split train")
def test_targets_are_valid_for_any_annotated_boxes(picture, boxes, fit, size, on_error):
    things = tuple(Thing("a", box, None, f"object {n}") for n, box in enumerate(boxes))
    images = [Annotated("1", picture, "1.xml", things)]
    dataset = BoxSet("train", images, ["a"], gvt.PictureReader(3, size, fit), on_error)
    sample = dataset[0]
    got = sample.targets["boxes"]
    assert got.dtype == torch.float32
    assert got.shape == (len(sample.targets["labels"]), 4)
    height, width = sample.image.shape[1:]
    assert (got[:, :2] >= 0).all()
    assert (got[:, 2:] > got[:, :2]).all()
    assert (got[:, 2:] <= torch.tensor([width, height])).all()
    assert (got[:, 2:] - got[:, :2] >= 1).all()
    kinds = [fault(box, SIZE) for box in boxes]
    assert sum(map(len, dataset.info.problems.values())) == sum(kind is not None for kind in kinds)
    valid = (None, PARTLY) if on_error == "clip" else (None,)
    inside = [clipped(box, SIZE) for box, kind in zip(boxes, kinds, strict=True) if kind in valid]
    kept = []  # boxes that are the same once they are clipped are one object
    for box in inside:
        if all(np.abs(np.float32(box) - np.float32(other)).max() > SAME for other in kept):
            kept.append(box)
    assert len(sample.record.truth()["boxes"]) == len(kept)
    if fit != "crop":
        across, down = (float(sample.record.geometry[n, n]) for n in (0, 1))
        sides = [min((b[2] - b[0]) * across, (b[3] - b[1]) * down) for b in kept]
        # Near a pixel rounding decides.
        least, most = (sum(side >= at for side in sides) for at in (1 + 1e-4, 1 - 1e-4))
        assert least <= len(got) <= most


def test_an_error_is_one_line_with_counts_and_places(picture, tmp_path):
    boxes = [(1, 1, 5, 5), (1, 1, 1, 5), (50, 1, 60, 5), (-9, 1, 8, 9)]
    things = tuple(Thing("a", box, None, f"object {n}") for n, box in enumerate(boxes, 1))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    images = [
        Annotated("1", picture, "1.xml", (*things, Thing("b\x1b", (1, 1, 2, 2), None, "object 5"))),
        Annotated("2", tmp_path / "2.png", "2.xml"),
        Annotated("3", broken, "3.xml"),
        Annotated("4", picture, "4.xml", size=(40, 30)),
        Annotated("5", picture, "5.xml", missing="5.xml"),
    ]
    with pytest.raises(gvt.DataError) as caught:
        check_images(images, ["a"], "error", "train", {})
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert text.startswith(
        "data: split train (5 images): 1 unknown label, 1 box without area, 1 box outside "
        "the image, 1 box partly outside the image, 1 missing image, 1 unreadable image, "
        "1 missing annotation, 1 image of another size ("
    )
    for place in ("1.xml: object 2 (a)", "1.xml: object 5 (b\\x1b)", "says that 1.png is 30x40"):
        assert place in text
    assert "data.on_error=skip" in text
    assert "data.on_error=clip" in text
    assert len(caught.value.details.splitlines()) == 8


@pytest.mark.parametrize(("on_error", "kept"), [("skip", 1), ("clip", 2)])
def test_bad_boxes_are_left_out_with_a_warning(picture, on_error, kept):
    boxes = [(1, 1, 5, 5), (1, 1, 1, 5), (-9, 1, 8, 9)]
    things = tuple(Thing("a", box, None, f"object {n}") for n, box in enumerate(boxes, 1))
    with pytest.warns(UserWarning, match=r"1 box without area, 1 box partly outside.*1\.xml: ob"):
        pictures, problems = check_images(
            [Annotated("1", picture, "1.xml", things)], ["a"], on_error, "train", {}
        )
    assert problems == {
        "box without area": ["1.xml: object 2 (a)"],
        PARTLY: ["1.xml: object 3 (a)"],
    }
    assert len(pictures[0].boxes) == kept
    if on_error == "clip":
        assert pictures[0].boxes[1].tolist() == [0, 1, 8, 9]


def test_the_first_of_many_places_are_listed(picture):
    things = tuple(Thing("a", (1, 1, 1, 5), None, f"object {n}") for n in range(1, 31))
    with pytest.raises(gvt.DataError, match=r"30 boxes without area .*object 10 \(a\) and 20 more"):
        check_images([Annotated("1", picture, "1.xml", things)], ["a"], "error", "train", {})


def test_a_split_without_usable_images_is_an_error(tmp_path):
    images = [Annotated("2", tmp_path / "2.png", "2.xml")]
    with (
        pytest.warns(UserWarning, match="1 missing image"),
        pytest.raises(gvt.DataError, match="no image of split train can be used"),
    ):
        BoxSet("train", images, ["a"], gvt.PictureReader(), "skip")
