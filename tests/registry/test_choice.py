"""What is said about plugins before any of them is imported, and where it may be said."""

import platformdirs
import pytest

from gvt_registry import UsageError
from gvt_registry.choice import Choice, names_in, settings_file


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Return what writes the user's settings, for one test."""
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(tmp_path / "own"))

    def write(content):
        path = settings_file()
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_settings_are_where_the_system_keeps_them():
    path = settings_file()
    assert path.is_absolute()
    assert (path.name, path.parent.name) == ("config.toml", "gvt")


@pytest.mark.parametrize("content", ["", "[plugins]", "plugins.block = []"])
def test_settings_that_say_nothing_block_nothing(settings, content):
    settings(content)
    assert Choice.made(None).objection("any") == ""


def test_without_a_file_nothing_is_blocked(settings):
    assert Choice.made(None).objection("any") == ""


def test_a_plugin_is_blocked_by_the_settings_or_by_the_environment(settings, monkeypatch):
    path = settings('plugins.block = ["one", "gvt-x:two"]')
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "three, ")
    choice = Choice.made(None)
    assert choice.objection("one") == f"named in {path}"
    assert choice.objection("two", "gvt-x:two") == f"named in {path}"
    assert choice.objection("three") == "named in GVT_BLOCK_PLUGINS"
    assert choice.objection("two") == choice.objection("") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\nplugins.block = ?", ["TOML", "line 2"]),
        (b"\xff\xfe", ["read", "utf-8"]),
        ("plugin.block = []", ["'plugin'", "'plugins'"]),
        ("plugins.blocked = []", ["'plugins.blocked'", "'block'"]),
        ("plugins.zzz = 1", ["'plugins.zzz'", "plugins.block"]),
        ("plugins = ['a']", ["['a']", "[plugins]"]),
        ("plugins.block = 'a'", ["plugins.block", "'a'", '["a", "b"]']),
        ("plugins.block = [1]", ["plugins.block", "[1]"]),
    ],
)
def test_settings_that_are_wrong_are_one_line_with_their_path(settings, content, words):
    """What they were to keep out is not let in."""
    path = settings(content)
    with pytest.raises(UsageError) as caught:
        Choice.made(None)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_folder_in_the_settings_place_is_one_line(settings):
    settings_file().mkdir(parents=True)
    with pytest.raises(UsageError, match=r"config\.toml: cannot be read: "):
        Choice.made(None)


def test_the_command_line_goes_before_the_environment(settings, monkeypatch):
    monkeypatch.setenv("GVT_ONLY_PLUGINS", "one, two")
    assert Choice.made(None).only == ("one", "two")
    assert Choice.made(("three",)).only == ("three",)


@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_empty_variable_restricts_nothing(settings, monkeypatch, value):
    monkeypatch.setenv("GVT_ONLY_PLUGINS", value)
    assert Choice.made(None).only is None


def test_what_is_not_among_the_only_ones_is_objected_to():
    choice = Choice({"one": "a file"}, ("one", "two"))
    assert choice.objection("one") == "named in a file"
    assert choice.objection("two") == choice.objection("two", "gvt-x:two") == ""
    assert choice.objection("three") == "not named in --only-plugins"


def test_a_name_that_no_plugin_has_is_refused_with_the_nearest_or_all():
    with pytest.raises(UsageError, match=r"--only-plugins: .*'gna'; did you mean 'gan'\?"):
        Choice({}, ("gna",)).check(["gan", "data"])
    with pytest.raises(UsageError, match=r"'zzz'; there are data, gan$"):
        Choice({}, ("zzz",)).check(["gan", "data"])
    Choice({}, ("gan",)).check(["gan", "data"])


@pytest.mark.parametrize("text", ["a,b", " a , b ,", ",a,,b"])
def test_names_in_a_list(text):
    assert names_in(text) == ("a", "b")
