"""What values and colours of masks mean, by a data set's parameters."""

import pytest

from gvt_data.masks.values import mask_values


def of(classes=None, background=None, ignore=None, found=()):
    return mask_values(classes, background, ignore, lambda: set(found))


@pytest.mark.parametrize(
    ("given", "names", "numbers"),
    [
        ({"classes": ["a", "b", "c"]}, "abc", {0: 0, 1: 1, 2: 2, 255: 255}),
        ({"classes": ["a", "b"]}, "ab", {0: 0, 1: 1, 255: 1}),
        ({"classes": ["a", "b"], "ignore": 255}, "ab", {0: 0, 1: 1, 255: 255}),
        ({"classes": ["a", "b"], "ignore": 9}, "ab", {0: 0, 1: 1, 9: 255, 255: 1}),
        ({"classes": ["a"], "background": 0}, "a", {1: 0, 0: 1, 255: 0}),
        ({"classes": ["a", "b"], "background": 0}, "ab", {1: 0, 2: 1, 0: 2, 255: 255}),
        ({"classes": {"a": 7, "b": 255}}, "ab", {7: 0, 255: 1}),
        ({"classes": {"a": 1000, "b": 0}}, "ab", {1000: 0, 0: 1, 255: 255}),
        (
            {"classes": {"a": "#ff8000", "b": (0, 0, 255)}, "background": "black"},
            "ab",
            {(255, 128, 0): 0, (0, 0, 255): 1, (0, 0, 0): 2},
        ),
        ({"found": [0, 255]}, ["0", "255"], {0: 0, 255: 1}),
        ({"found": [0, 3, 255]}, ["0", "3"], {0: 0, 3: 1, 255: 255}),
        ({"found": [0, 3, 255], "background": 0}, ["3"], {3: 0, 0: 1, 255: 255}),
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
        ({"classes": [str(n) for n in range(254)]}, "there are 254; from 1 to 253"),
        ({"classes": ["a", "a"]}, "each name once"),
        ({"classes": {"a": 1, "b": 1}}, "1 stands there more than once"),
        ({"classes": {"a": 1}, "ignore": 1}, "1 stands there more than once"),
        ({"classes": {"a": 1, "b": "#ff0000"}}, "some are values and some colours"),
        ({"classes": ["a"], "background": "black"}, "give each class its colour"),
        ({"classes": {"a": "rot"}}, "classes: a 'rot': is no colour"),
        ({"classes": {"a": (0, 0, 256)}}, "from 0 to 255"),
        ({"classes": {"a": -1}}, "from 0 to 65535"),
        ({"found": [255], "ignore": 255}, "there are 0"),
    ],
)
def test_what_is_impossible_is_one_line(given, says):
    with pytest.raises(ValueError, match=says):
        of(**given)
