"""Files that are replaced as a whole, and attempts at writing them."""

import errno

import pytest

from gvt.atomic import attempting, replacing


def test_an_error_names_the_file_that_was_meant(tmp_path):
    path = tmp_path / "absent" / "a.txt"
    with pytest.raises(FileNotFoundError) as caught, replacing(path) as file:
        file.write_text("x")
    assert caught.value.filename == str(path)

    blocked = tmp_path / "folder.txt"
    (blocked / "inside").mkdir(parents=True)
    with pytest.raises(OSError) as caught, replacing(blocked) as file:
        file.write_text("x")
    assert caught.value.filename == str(blocked)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.txt"]


@pytest.mark.parametrize(
    ("raised", "named"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "a.txt"),  # of a write, without a name
        (FileNotFoundError(errno.ENOENT, "No such file", "other.png"), "other.png"),
        (OSError("cannot identify image file 'other.png'"), None),
    ],
)
def test_what_is_wrong_with_another_file_keeps_its_name(raised, named, tmp_path):
    with pytest.raises(type(raised)) as caught, replacing(tmp_path / "a.txt") as file:
        file.write_text("half")
        raise raised
    found = caught.value.filename
    assert (found and found.rpartition("/")[2]) == named
    assert caught.value.strerror == raised.strerror
    assert list(tmp_path.iterdir()) == []


def test_an_attempt_that_fails_is_a_line_with_the_file(tmp_path):
    path = tmp_path / "absent" / "a.txt"
    with pytest.warns(UserWarning) as caught, attempting(path), replacing(path) as file:
        file.write_text("x")
    assert [str(w.message) for w in caught] == [f"{path}: not written: No such file or directory"]
    assert caught[0].filename == __file__


def test_a_bug_is_not_hidden(tmp_path):
    with pytest.raises(ZeroDivisionError), attempting(tmp_path / "a.txt"):
        1 / 0  # noqa: B018
