"""Boxes, dtypes and shapes at random: what is taken comes back, and all else is one line."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gvt

few = settings(max_examples=40, deadline=None)

SIDES = st.integers(1, 9)
NUMBERS = st.floats(-20, 20, width=32) | st.sampled_from([np.nan, np.inf, 0.0, 7.0, 8.0])


@few
@given(arrays.arrays(np.uint8, st.tuples(SIDES, SIDES, st.sampled_from([1, 2, 3, 4]))))
def test_bytes_come_back_in_every_form(pixels):
    expected = torch.from_numpy(pixels).permute(2, 0, 1)
    for value in (pixels, pixels.astype(np.float64) / 255, expected, np.asfortranarray(pixels)):
        image = gvt.dataset([value])[0].image
        whole = image if image.dtype == torch.uint8 else (image * 255).round().byte()
        assert torch.equal(whole, expected)


@few
@given(
    arrays.arrays(
        arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    )
)
def test_any_array_is_an_image_or_one_line(value):
    try:
        image = gvt.dataset([value], labels=[0])[0].image
    except gvt.DataError as error:
        assert str(error).startswith("images[0]: ")
        assert "\n" not in str(error)
    else:
        assert image.dtype in (torch.uint8, torch.float32)
        assert image.shape[1:] == value.shape[:2]
        assert 0 <= float(image.min()) <= float(image.max()) <= 255


@few
@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=4), max_size=4))
def test_boxes_are_in_the_image_or_one_line(boxes):
    image = np.zeros((8, 7), np.uint8)
    inside = [
        -1 <= x <= right <= 8 and -1 <= y <= bottom <= 9 for x, y, right, bottom in boxes
    ]  # an edge may be a pixel outside
    try:
        taken = gvt.dataset([image], boxes=[boxes], classes=["x"])[0].targets["boxes"]
    except gvt.DataError as error:
        assert str(error).startswith("boxes[0][")
        assert "\n" not in str(error)
        areas = [
            min(right, 7) > max(x, 0) and min(bottom, 8) > max(y, 0)
            for x, y, right, bottom in np.float32(boxes)
        ]
        assert not (all(inside) and all(areas))
    else:
        assert all(inside)
        assert taken.shape == (len(boxes), 4)
        assert bool((taken[:, 2:] > taken[:, :2]).all())
        assert bool((taken >= 0).all() and (taken <= torch.tensor([7, 8, 7, 8])).all())


@few
@given(st.data())
def test_objects_survive_resizing_and_flatten_back(data):
    height, width = data.draw(st.tuples(st.integers(8, 40), st.integers(8, 40)))
    left, top = data.draw(st.tuples(st.integers(0, width - 6), st.integers(0, height - 6)))
    fit = data.draw(st.sampled_from(["pad", "stretch", "within"]))
    box = torch.tensor([[left, top, left + 6.0, top + 6]])
    masks = torch.zeros(1, height, width)
    masks[0, top : top + 6, left : left + 6] = 1
    sample = gvt.dataset(
        [np.zeros((height, width))], boxes=[box], masks=[masks], classes=["x"], size=32, fit=fit
    )[0]
    if len(sample.targets["boxes"]):  # one that is smaller than a pixel is dropped
        geometry = sample.record.geometry
        corners = torch.cat([box.reshape(2, 2), torch.ones(2, 1)], dim=1).double() @ geometry.T
        assert torch.allclose(sample.targets["boxes"].reshape(2, 2), corners[:, :2].float())
        assert sample.targets["masks"].shape[1:] == sample.image.shape[1:]
    assert torch.equal(sample.record.truth()["boxes"], box)


@few
@given(
    st.lists(st.one_of(st.integers(-3, 9), st.text(max_size=3)), min_size=1, max_size=6),
    st.sampled_from([None, ["a", "b", "c"], {1: "x", "a": "y"}]),
)
def test_labels_are_classes_or_one_line(labels, classes):
    pixels = [np.zeros((2, 2), np.uint8)] * len(labels)
    try:
        data = gvt.dataset(pixels, labels=labels, classes=classes)
    except gvt.DataError as error:
        assert str(error).startswith("labels")
        assert "\n" not in str(error)
        return
    info = data.info
    assert sum(info.class_counts) == len(labels)
    if classes is None:
        assert [info.classes[n] for n in info.labels] == [str(label) for label in labels]
