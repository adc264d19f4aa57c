"""Which files are meant."""

from pathlib import Path

import pytest
from PIL import Image

import gvt
from gvt_predict.files import Source, check_distinct, find_pictures, passed_over


@pytest.fixture
def place(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "sub/c.tif", ".git/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folders_are_searched_and_files_taken_as_they_are_named(place):
    found = find_pictures([place / "notes.txt", place])
    assert [(s.path.name, str(s.stem)) for s in found] == [
        ("notes.txt", "notes"), ("a.JPG", "a"), ("b.png", "b"), ("c.tif", str(Path("sub/c"))),
    ]  # fmt: skip


def test_a_file_that_is_named_twice_is_one(place):
    assert len(find_pictures([place / "b.png", place, place / "sub" / ".." / "b.png"])) == 3


def test_earlier_predictions_in_the_folder_are_left_out(place):
    found = find_pictures([place], out=place / "sub")
    assert [s.path.name for s in found] == ["a.JPG", "b.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.png", "there is no such file or folder"), ("sub/empty", r"has no images \(\.apng")],
)
def test_what_is_not_there_is_one_line(place, name, message):
    (place / "sub" / "empty").mkdir()
    with pytest.raises(gvt.UsageError, match=f"{name}: {message}"):
        find_pictures([place / "b.png", place / name])
    with pytest.raises(gvt.UsageError, match="no images: give image files"):
        find_pictures([])


@pytest.mark.parametrize(
    ("one", "other"), [("x.png", "x.jpg"), ("x.png", "X.png"), ("x.png", "x_overlay.png")]
)
def test_two_pictures_whose_masks_would_be_one_file_are_named(one, other):
    sources = [Source(Path("p", name), Path(name).with_suffix("")) for name in (one, other)]
    with pytest.raises(gvt.UsageError, match="both would become") as raised:
        check_distinct(sources, [".png", "_overlay.png"])
    assert str(sources[0].path) in str(raised.value)
    assert str(sources[1].path) in str(raised.value)
    check_distinct(sources, [])  # nothing is written
    apart = Source(Path("q/x.png"), Path("q/x"))
    check_distinct([sources[0], apart], [".png", "_overlay.png"])


def test_a_folder_and_its_files_agree_on_what_is_a_picture(tmp_path):
    for name in ("a.jfif", "b.JPE", "c.dib", "d.mpo", "@eaDir/a.jpg", "$RECYCLE.BIN/e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    in_folder = [source.name for source in find_pictures([tmp_path])]
    assert in_folder == ["a.jfif", "b.JPE", "c.dib", "d.mpo"]
    assert in_folder == [s.name for s in find_pictures([tmp_path / name for name in in_folder])]


def test_what_is_passed_over_in_a_folder_is_told(place):
    assert passed_over([place, place / "b.png"]) == []
    (place / "sub" / "x.heic").touch()
    Image.new("L", (3, 3)).save(place / "sub" / "y", "PNG")
    (line,) = passed_over([place, place / "b.png"])
    assert line == f"{place}: left out: 1 without suffix, 1 .heic"
    assert passed_over([place], out=place / "sub") == []
    (place / "sub" / "c.tif").unlink()
    with pytest.raises(gvt.UsageError, match=r"has no images \(.*\), but 1 without suffix, 1"):
        find_pictures([place / "sub"])


def test_names_that_differ_in_form_only_are_one_file(tmp_path):
    sources = [Source(tmp_path / f"{n}.png", Path(n)) for n in ("caf\u00e9", "cafe\u0301")]
    with pytest.raises(gvt.UsageError, match="both would become"):
        check_distinct(sources, [".png"])
