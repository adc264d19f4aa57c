"""What values and colours of masks mean, by a data set's parameters."""

import re

import numpy as np
import pytest

import gvt
from gvt_data.masks.tally import tallied
from gvt_data.masks.values import mask_values


def of(classes=None, background=None, ignore=None, found=()):
    pixels = np.array([list(found)], np.uint16)
    return mask_values(classes, background, ignore, lambda: tallied(pixels, [pixels]))


@pytest.mark.parametrize(
    ("given", "names", "numbers"),
    [
        ({"classes": ["a", "b", "c"]}, "abc", {0: 0, 1: 1, 2: 2}),
        ({"classes": ["a", "b"], "found": [0, 1]}, "ab", {0: 0, 1: 1}),
        ({"classes": ["a", "b"], "found": [0, 255]}, "ab", {0: 0, 1: 1, 255: 1}),
        ({"classes": ["a", "b"], "found": [255]}, "ab", {0: 0, 1: 1, 255: 1}),
        ({"classes": ["a", "b"], "ignore": 255}, "ab", {0: 0, 1: 1, 255: 255}),
        (
            {"classes": ["a", "b"], "ignore": 9, "found": [0, 9, 255]},
            "ab",
            {0: 0, 1: 1, 9: 255, 255: 1},
        ),
        ({"classes": ["a"], "background": 0, "found": [0, 255]}, "a", {1: 0, 0: 1, 255: 0}),
        ({"classes": ["a"], "background": 0, "found": [0, 1]}, "a", {1: 0, 0: 1}),
        ({"classes": ["a", "b"], "background": 0}, "ab", {1: 0, 2: 1, 0: 2}),
        ({"classes": ["a", "b"], "background": 255}, "ab", {0: 0, 1: 1, 255: 2}),
        ({"classes": {"a": 7, "b": 255}}, "ab", {7: 0, 255: 1}),
        ({"classes": {"a": 0, "b": 1}}, "ab", {0: 0, 1: 1}),
        ({"classes": {"a": 1000, "b": 0}}, "ab", {1000: 0, 0: 1}),
        (
            {"classes": {"a": "#ff8000", "b": (0, 0, 255)}, "background": "black"},
            "ab",
            {(255, 128, 0): 0, (0, 0, 255): 1, (0, 0, 0): 2},
        ),
        ({"found": [0, 1]}, ["0", "1"], {0: 0, 1: 1}),
        ({"found": [1, 2]}, ["1", "2"], {1: 0, 2: 1}),
        ({"found": [0, 255]}, ["0", "255"], {0: 0, 255: 1}),
        ({"found": [0, 65535]}, ["0", "65535"], {0: 0, 65535: 1}),
        ({"found": [0, 9, 255], "ignore": 9}, ["0", "255"], {0: 0, 255: 1, 9: 255}),
        ({"found": [0, 3, 255], "ignore": 255}, ["0", "3"], {0: 0, 3: 1, 255: 255}),
        (
            {"found": [0, 3, 255], "background": 0, "ignore": 255},
            ["3"],
            {3: 0, 0: 1, 255: 255},
        ),
        ({"found": [0, 3, 255], "background": 255}, ["0", "3"], {0: 0, 3: 1, 255: 2}),
        ({"found": [0, 255], "background": 0}, ["255"], {255: 0, 0: 1}),
    ],
)
def test_values_have_their_numbers(given, names, numbers):
    found = of(**given)
    assert list(found.classes) == list(names)
    assert found.numbers == numbers
    assert found.background is ("background" in given)
    assert found.are_colours is any(isinstance(value, tuple) for value in numbers)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"classes": []}, "there are 0"),
        ({"classes": [str(n) for n in range(254)]}, "there are 254; give 1 to 253"),
        ({"classes": ["a", "a"]}, "each name once"),
        ({"classes": {"a": 1, "b": 1}}, "1 occurs more than once"),
        ({"classes": {"a": 1}, "ignore": 1}, "1 occurs more than once"),
        ({"classes": {"a": 1, "b": "#ff0000"}}, "some are values and some colours"),
        ({"classes": ["a"], "background": "black"}, "give each class its colour"),
        ({"classes": {"a": "rot"}}, "classes: a 'rot': is not a colour"),
        ({"classes": {"a": (0, 0, 256)}}, "from 0 to 255"),
        ({"classes": {"a": -1}}, "from 0 to 65535"),
        ({"found": [255], "ignore": 255}, "there are 0"),
    ],
)
def test_what_is_impossible_is_one_line(given, says):
    with pytest.raises(ValueError, match=says):
        of(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"found": [0, 1, 255]},
        {"found": [1, 255]},
        {"found": [0, 128, 255]},
        {"found": [*range(11), 255]},
        {"found": [0, 3, 255], "background": 0},
        {"found": [0, 3, 9, 255], "ignore": 9},
        {"found": [0, 1, 255], "background": 1},
        {"found": [0, 1, 255], "classes": ["a", "b"]},
        {"found": [1, 255], "classes": ["a", "b"]},
        {"found": [0, 7, 255], "classes": ["a", "b"]},
        {"found": [0, 1, 255], "classes": ["a"], "background": 0},
    ],
)
def test_255_beside_other_values_is_asked_for(given):
    says = r"^data\.classes: the masks have the values .* the meaning of 255 "
    with pytest.raises(gvt.DataError, match=says) as caught:
        of(**given)
    assert re.search(r"255( is)? \(\d+\.\d %\)", str(caught.value))
    for option in ("data.ignore=255", "data.background=255", "data.classes={NAME: VALUE}"):
        assert option in str(caught.value)


def test_each_value_is_shown_with_its_share():
    values = [*[0] * 712, *[1] * 200, *[255] * 88]
    shown = "0 (71.2 %), 1 (20.0 %), 255 (8.8 %)"
    with pytest.raises(gvt.DataError, match=re.escape(f"values {shown}, and")):
        of(found=values)
