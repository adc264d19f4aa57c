"""COCO's run lengths are pycocotools' own, and what is malformed never gets to its memory."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

import gvt
from gvt.vision.coco import decoded, encoded


def official(mask):
    """Return what pycocotools makes of a mask (H, W) bool."""
    found = coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
    return {"size": found["size"], "counts": found["counts"].decode()}


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_run_lengths_are_pycocotools_own(count, height, width, seed):
    masks = torch.rand(count, height, width, generator=gvt.random_source(seed, "masks")) > 0.4
    for mask in masks:
        entry = encoded(mask)
        assert isinstance(entry["counts"], str)
        assert entry == official(mask)
        assert entry == json.loads(json.dumps(entry))
        assert np.array_equal(coco_mask.decode(entry), mask.numpy())
        assert np.array_equal(decoded(entry, height, width), mask.numpy())
        runs = np.diff(np.flatnonzero(np.diff(mask.numpy().T.ravel(), prepend=not mask[0, 0])))
        counts = [*([0] if mask[0, 0] else []), *runs.tolist()]
        counts.append(height * width - sum(counts))
        plain = {"size": [height, width], "counts": counts}
        assert np.array_equal(decoded(plain, height, width), mask.numpy())


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(0, 4)] * 4), st.integers(0, 6), st.integers(0, 6), st.integers(0, 99)
)
def test_a_mask_of_a_part_is_encoded_as_in_the_whole(around, height, width, seed):
    top, left, below, right = around
    size = (top + height + below + 1, left + width + right + 1)
    part = torch.rand(height, width, generator=gvt.random_source(seed, "part")) > 0.4
    whole = torch.zeros(size, dtype=torch.bool)
    whole[top : top + height, left : left + width] = part
    assert encoded(part, top, left, size) == official(whole)
    full = torch.ones(2, 3, dtype=torch.bool)
    assert encoded(full) == encoded(full, 0, 0, (2, 3)) == official(full)


def test_a_part_of_a_huge_picture_needs_no_memory_for_all_of_it():
    found = encoded(torch.ones(3, 2), 29_000, 31_000, (32_000, 33_000))
    assert coco_mask.area(found) == 6
    assert coco_mask.toBbox(found).tolist() == [31_000, 29_000, 2, 3]


def test_polygons_are_their_union():
    square, corner = [1, 1, 4, 1, 4, 4, 1, 4], [0.0, 0.0, 2.0, 0.0, 0.0, 2.0]
    both = decoded([square, corner], 6, 5)
    assert (both.dtype, both.shape) == (np.uint8, (6, 5))
    assert np.array_equal(both, decoded([square], 6, 5) | decoded([corner], 6, 5))
    assert decoded([square], 6, 5)[1:4, 1:4].all()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [2, 3], "counts": [6]}, r"its size is \[2, 3\], and the image's \[3, 2\]"),
        ({"counts": [6]}, "its size is None"),
        ({"size": [3, 2], "counts": [5]}, "its counts do not make 3 x 2 pixels"),
        ({"size": [3, 2], "counts": [7]}, "its counts do not make 3 x 2 pixels"),
        ({"size": [3, 2], "counts": [-1, 7]}, "its counts do not make"),
        ({"size": [3, 2], "counts": [1.5, 4.5]}, "its counts are not all whole numbers"),
        ({"size": [3, 2], "counts": "5"}, "its counts do not make"),
        ({"size": [3, 2], "counts": ""}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "o"}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "6 "}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "ooooooooo0"}, "its counts are damaged"),
        ({"size": [3, 2], "counts": "é"}, "its counts"),
        ({"size": [3, 2]}, "it has neither counts nor polygons"),
        ([], "it has no polygon"),
        ("56", "it is neither run lengths nor a list of polygons"),
        ([[0, 0, 1, 1]], "a polygon is a list of x and y by turns, of three points"),
        ([[0, 0, 1, 1, 0, float("nan")]], "a polygon goes through nan, which is not a coordinate"),
        ([[0, 0, 1, 1, 0, 1e12]], r"a polygon goes through 1000000000000\.0"),
        ([0, 0, 1, 1, 0, 1], "a polygon is a list"),
        ([[0, 0, 1, 1, 0, 1e4]], "its outline of 20000 pixels is too long for a picture of 3 x 2"),
        ([[-1e6, -1e6, 1e6, 1e6, -1e6, 1e6] * 9], "its outline of .* is too long"),
        ({"size": ["\n" * 99], "counts": [6]}, r"its size is \['[^\n]{58}\.\.\., and the image's"),
    ],
)
def test_a_malformed_mask_is_named(segmentation, message):
    with pytest.raises(ValueError, match=message):
        decoded(segmentation, 3, 2)
