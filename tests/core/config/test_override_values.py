"""The value of an override is read as a whole, or refused."""

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvt.config import text
from gvt.config.compose import apply_overrides, parse_override
from gvt.errors import ConfigError


def value_of(written):
    return parse_override(f"data.root={written}")[1]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("/tmp/my data #2", "/tmp/my data #2"),
        ("#2", "#2"),
        ("a #b", "a #b"),
        ("x=y # z", "x=y # z"),
        ("C:\\data", "C:\\data"),
        ("C:", "C:"),
        ("12:30", "12:30"),
        ("~/data", "~/data"),
        ("..", ".."),
        ("-x", "-x"),
        ("a, b] c}", "a, b] c}"),
        (" two spaces ", " two spaces "),
        ("日本\u3000語", "日本\u3000語"),
        ("<<", "<<"),
        ("=", "="),
        ("", ""),
        (" 5 ", 5),
        ("1e-3", 0.001),
        ("0x1F", 31),
        ("null", None),
        ("True", True),
        ("no", "no"),
        ("'a #b'", "a #b"),
        ('"a: #b\\n"', "a: #b\n"),
        ("[a, 'b #c', {d: 5}]", ["a", "b #c", {"d": 5}]),
        ("[\n  1,\n  2\n]", [1, 2]),
    ],
)
def test_the_whole_text_is_the_value(written, value):
    assert (value_of(written), type(value_of(written))) == (value, type(value))


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("[5] # of ten", "# of ten"),
        ("'a' #b", "#b"),
        ("[a, #b\n c]", "#b"),
        ("{a: 1}\n...", "..."),
        ('"a": 5', '"a": 5'),
    ],
)
def test_text_after_the_value_is_an_error(written, left):
    with pytest.raises(ConfigError, match="unexpected") as caught:
        value_of(written)
    assert repr(left)[1:-1] in str(caught.value)


@pytest.mark.parametrize("written", ["'a' b", "[5] [6]", "[5]\n---\n[6]", "[5", '"a', "{a: *b}"])
def test_invalid_yaml_is_an_error(written):
    with pytest.raises(ConfigError, match="not valid YAML"):
        value_of(written)


@pytest.mark.parametrize(
    "written",
    ["*x", "&x", "!x", "@x", "%x%", "`x`", "|", "> x", "- a", "-", "? a", "--- a", ", a", "a: b"],
)
def test_an_ambiguous_value_says_how_to_quote_it(written):
    with pytest.raises(ConfigError, match="has to be quoted: ") as caught:
        value_of(written)
    advice = str(caught.value).partition("has to be quoted: ")[2]
    assert parse_override(shlex.split(advice)[0]) == (["data", "root"], written)


def test_the_home_folder_is_not_null():
    with pytest.raises(ConfigError, match="write null for no value, and ~/ for the home folder"):
        value_of("~")


@pytest.mark.parametrize("written", ["a\nb", "a\x1b[2J", "a\udcff", "a\u2028b", "a\x00"])
def test_unprintable_characters_are_refused(written):
    with pytest.raises(ConfigError) as caught:
        value_of(written)
    assert str(caught.value).isprintable()


printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=30)


@settings(deadline=None, max_examples=120)
@given(printable)
def test_a_text_is_a_string_or_a_scalar_or_refused(written):
    try:
        value = value_of(written)
    except ConfigError:
        return
    whole = written.strip(" ")
    if value == written:
        return
    if whole[:1] in ("[", "{", '"', "'"):
        assert value == text.parse_yaml(whole, "here")
        assert text.parse_yaml(f"[{whole}, 7]", "here")[-1] == 7  # nothing hid what came after
    else:
        assert not isinstance(value, str)
        assert value == text.parse_yaml(whole, "here")


pieces = st.lists(st.sampled_from([*"[]{}'\":#,-?*&!|> \n~.qr01", "---", "..."]), max_size=12)


@settings(deadline=None, max_examples=120)
@given(pieces.map("".join))
def test_no_part_of_a_value_in_brackets_or_quotes_is_ignored(written):
    try:
        value = value_of(written)
    except ConfigError:
        return
    letters = [c for c in written if c in "qr"]
    shown = str(value)
    assert [c for c in letters if c not in shown] == []


def test_a_value_of_any_size_is_refused_in_one_short_line():
    for written in ("[" * 5000, "9" * 5000, "'" + "a" * 5000, "*" * 5000, "a: " * 5000):
        with pytest.raises(ConfigError) as caught:
            apply_overrides({}, [f"data.root={written}"])
        assert len(str(caught.value)) < 700
