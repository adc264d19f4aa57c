"""Recipes as text: YAML 1.2 scalars, comments that stay, and errors with a line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvt.config import text
from gvt.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-3", 0.001),
        ("5E4", 50000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("1:2:3", "1:2:3"),
        ("2001-12-14", "2001-12-14"),
        ("cuda:1", "cuda:1"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("'1e-3'", "1e-3"),
        ("[5]", [5]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
    ],
)
def test_scalars_follow_yaml_1_2(written, meant):
    found = text.parse_yaml(written, "here")
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("load", [text.parse_yaml, text.parse_keeping_comments])
def test_a_key_that_stands_twice_is_an_error_with_its_line(load):
    with pytest.raises(ConfigError, match=r"mine\.yaml, line 3.*lr"):
        load("name: Adam\nlr: 1\nlr: 2\n", "mine.yaml")


@pytest.mark.parametrize(
    "broken", ["a: [1", "a: b: c", "\tx: 1", "a: *b", "- 1\n---\n- 2", "!!python/name:os.system"]
)
def test_what_is_no_yaml_is_one_line_with_the_place(broken):
    with pytest.raises(ConfigError, match=r"mine\.yaml, line \d") as caught:
        text.parse_yaml(broken, "mine.yaml")
    assert "\n" not in str(caught.value)


def test_a_control_character_is_one_line():
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        text.parse_yaml("a: \x00", "mine.yaml")
    assert "\n" not in str(caught.value)


COMMENTED = """\
# What this is for.
data:
  name: mnist # the digits
  range: [-1, 1]
train: {steps: 3000} # enough
optimizers:
  model: {lr: 5e-4}
"""


def test_comments_and_style_stay():
    assert text.dump_yaml(text.parse_keeping_comments(COMMENTED, "here")) == COMMENTED


def test_both_ways_of_reading_mean_the_same():
    assert text.parse_keeping_comments(COMMENTED, "here") == text.parse_yaml(COMMENTED, "here")


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read"):
        text.read_yaml(tmp_path / "mine.yaml", "mine.yaml")


def test_a_file_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match=r"mine\.yaml: is not UTF-8 .*3"):
        text.read_yaml(path, "mine.yaml")


# Unicode's other line ends are left out: ruamel.yaml folds them into spaces.
letters = st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029")
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(letters)
documents = st.dictionaries(
    st.text(letters, min_size=1),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab:#-"), inner),
        max_leaves=5,
    ),
    max_size=4,
)


@settings(deadline=None, max_examples=100)
@given(documents)
def test_what_is_written_is_read_again(document):
    assert text.parse_yaml(text.dump_yaml(document), "here") == document


@pytest.mark.parametrize("word", ["no", "yes", "null", "1e-3", "12:30", "true", "", "2001-12-14"])
def test_words_that_look_like_something_else_stay_words(word):
    assert text.parse_yaml(text.dump_yaml({"key": word}), "here") == {"key": word}
