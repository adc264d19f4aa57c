"""Words on sheets."""

import pytest

from gvt.vision.drawing.tiles import caption


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog", "dog"),
        ("Köter 犬 $x_1$", "Köter 犬 $x_1$"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("a\x00b\x1b[31m", r"a\x00b\x1b[31m"),
        ("left\u202eright\udc80", r"left\u202eright\udc80"),
        (7, "7"),
        ("x" * 24, "x" * 24),
        ("x" * 300, "x" * 23 + "…"),
        ("\n" * 300, r"\n" * 11 + "\\…"),
    ],
)
def test_a_caption_is_one_short_line(name, shown):
    assert caption(name) == shown
