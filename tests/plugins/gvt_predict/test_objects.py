"""Objects on a canvas are those of the picture, with masks no larger than they are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import gvt
from gvt.geometry import to_original
from gvt.vision.coco import decoded
from gvt.vision.pictures.fitting import fitted
from gvt_predict.objects import objects_in
from gvt_predict.tiles import Box


def said_of(canvas, seed, count=3):
    source = gvt.random_source(seed, "objects")
    height, width = canvas
    corners = torch.rand(count, 2, 2, generator=source).sort(dim=1).values
    masks = torch.zeros(count, *canvas, dtype=torch.bool)
    for mask, (low, high) in zip(masks[:-1], corners, strict=False):  # the last one is empty
        x, y, x2, y2 = (torch.cat([low, high]) * torch.tensor([width, height] * 2)).int().tolist()
        mask[y : y2 + 1, x : x2 + 1] = torch.rand(y2 - y + 1, x2 - x + 1, generator=source) > 0.5
    return {
        "boxes": (corners * torch.tensor([width, height])).flatten(1),
        "labels": torch.tensor([2, 0, 1][:count]),
        "scores": torch.tensor([0.75, 0.5, 0.25][:count]),
        "masks": masks,
    }


sides = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.integers(0, 99),
       st.sampled_from(["crop", "pad", "stretch", "within"]))  # fmt: skip
def test_it_is_what_evaluation_makes_of_it(size, canvas, seed, fit):
    image, geometry = fitted(Image.new("L", (size[1], size[0])), canvas, fit)
    said = said_of((image.height, image.width), seed)
    (expected,) = to_original([said], [gvt.Record("it", size, geometry)])
    found = objects_in(said, geometry, Box(0, 0, *size), "it")
    for key, value in found.prediction(size).items():
        assert torch.equal(value, expected[key])
        assert value.dtype == expected[key].dtype
    for mask, whole in zip(found.segmentations(size), expected["masks"], strict=True):
        assert np.array_equal(decoded(mask, *size), whole.numpy())


def test_what_is_found_in_a_part_lies_where_the_part_does():
    said = said_of((20, 30), 1)
    _, geometry = fitted(Image.new("L", (60, 40)), (20, 30), "stretch")
    alone = objects_in(said, geometry, Box(0, 0, 40, 60), "it")
    moved = objects_in(said, geometry, Box(100, 7, 140, 67), "it")
    torch.testing.assert_close(moved.boxes - alone.boxes, torch.tensor([[7.0, 100, 7, 100]] * 3))
    masks = moved.prediction((200, 100))["masks"]
    assert torch.equal(masks[:, 100:140, 7:67], alone.prediction((40, 60))["masks"])
    assert masks.sum() == alone.prediction((40, 60))["masks"].sum()


def test_masks_take_no_more_memory_than_the_objects_are_large():
    masks = torch.zeros(2, 500, 500, dtype=torch.bool)
    masks[0, 10:13, 480:482] = True
    said = {"boxes": torch.tensor([[480.0, 10, 482, 13], [0, 0, 9, 9]]), "masks": masks,
            "labels": torch.tensor([0, 1]), "scores": torch.tensor([0.5, 0.25])}  # fmt: skip
    found = objects_in(said, torch.eye(3, dtype=torch.float64), Box(0, 0, 500, 500), "it")
    assert [mask.pixels.numel() for mask in found.masks] == [6, 0]
    assert all(
        mask.pixels.untyped_storage().nbytes() == mask.pixels.numel() for mask in found.masks
    )
    assert found.above(0.5).labels.tolist() == [0]
    assert len(found.above(0.5).masks) == 1


def test_nothing_found_is_empty_in_every_key():
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64),
               "scores": torch.zeros(0), "masks": torch.zeros(0, 5, 6)}  # fmt: skip
    found = objects_in(nothing, torch.eye(3, dtype=torch.float64), Box(0, 0, 5, 6), "it")
    shapes = {key: tuple(value.shape) for key, value in found.prediction((5, 6)).items()}
    assert shapes == {"boxes": (0, 4), "labels": (0,), "scores": (0,), "masks": (0, 5, 6)}
    assert found.above(0.5).segmentations((5, 6)) == []


@pytest.mark.parametrize("key", ["boxes", "scores"])
def test_what_is_no_number_is_an_error_that_names_the_picture(key):
    said = said_of((9, 9), 0)
    said[key][0] = float("nan")
    with pytest.raises(gvt.DataError, match=r"a\.png: a predicted box or score is not finite"):
        objects_in(said, torch.eye(3, dtype=torch.float64), Box(0, 0, 9, 9), "a.png")
