"""Paths from other machines and from labelling tools: which file below the root they name."""

import warnings
from pathlib import Path

import pytest

import gvt
from gvt_data.boxes.annotation import AssumedWarning
from gvt_data.boxes.pairing import there
from gvt_data.boxes.paths import Locator, parts_of

SOURCE = Path("result.json")


def touch(root, *names):
    """Make empty files below a folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def located(root, *names, base=None, split=None):
    """Return the locations of files relative to the root, or the reasons for ambiguous ones."""
    locations = Locator(root, split).files(names, SOURCE, base)
    return [
        item.reason or (item.path.relative_to(root).as_posix() if there(item.path) else "missing")
        for item in locations.values()
    ]


@pytest.mark.parametrize(
    "written",
    [
        "images\\3.png",
        "/home/annotator/project/images/3.png",
        "C:\\data\\cells\\images\\3.png",
        "C:/data/cells/images/3.png",
        "\\\\server\\share\\images\\3.png",
        "file:///C:/data/images/3.png",
        "s3://bucket/cells/images/3.png",
        "https://host/images/3.png?token=a/b#c",
        "/data/local-files/?d=images/3.png",
        "http://localhost:8080/data/local-files/?d=cells%2Fimages%2F3.png",
        "/data/upload/7/0123abcd-3.png",
        "../../images/3.png",
        "./images/../images/3.png",
        "Images/3.PNG",
        "project/images/sub/../3.png",
        "/3.png",
    ],
)
def test_a_path_from_elsewhere_is_found_by_its_end_with_a_warning(written, tmp_path):
    touch(tmp_path, "images/3.png", "images/4.png", "other/5.png")
    with pytest.warns(AssumedWarning) as caught:
        assert located(tmp_path, written) == ["images/3.png"]
    text = str(caught[0].message)
    assert text.startswith("result.json: 1 of 1 files are not where")
    assert text.endswith(f"images/3.png to {tmp_path}/images/3.png") or written in text


@pytest.mark.parametrize(
    "name", ["a b#1.png", "100%_a.png", "a?d=b.png", "a\\b.png", "1234abcd-x.png"]
)
def test_a_correct_path_is_used_as_written_without_a_warning(name, tmp_path, monkeypatch):
    touch(tmp_path, f"images/{name}", "images/x.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert located(tmp_path, name, base=tmp_path / "images") == [f"images/{name}"]
        assert located(tmp_path, f"./images/{name}", base=tmp_path) == [f"images/{name}"]
        whole = str(tmp_path / "images" / name)
        assert located(tmp_path, whole, base=tmp_path) == [f"images/{name}"]
        monkeypatch.chdir(tmp_path.parent)
        assert located(Path(tmp_path.name), whole) == [f"images/{name}"]


def test_letters_may_be_composed_or_not(tmp_path):
    touch(tmp_path, "zu\u0308ge/e\u0301.png", "zu\u0308ge/\xe8.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = ["z\xfcge/\xe9.png", "z\xfcge/e\u0300.png"]
        assert located(tmp_path, *names, base=tmp_path) == [
            "zu\u0308ge/e\u0301.png",
            "zu\u0308ge/\xe8.png",
        ]


def test_the_longest_end_decides(tmp_path):
    touch(tmp_path, "a/images/3.png", "b/images/3.png", "b/4.png")
    with pytest.warns(AssumedWarning, match="2 of 2 files"):
        locations = located(tmp_path, "C:\\x\\a\\images\\3.png", "C:\\x\\b\\images\\3.png")
    assert locations == ["a/images/3.png", "b/images/3.png"]
    ambiguous = located(tmp_path, "C:\\x\\images\\3.png")[0]
    assert ambiguous == (
        f"C:\\x\\images\\3.png may be {tmp_path}/a/images/3.png or {tmp_path}/b/images/3.png"
    )


def test_a_file_that_its_own_folder_lacks_is_missing(tmp_path):
    touch(tmp_path, "train/1.png", "val/1.png", "val/2.png", "more/3.png")
    assert located(tmp_path, "2.png", base=tmp_path / "train") == ["missing"]
    assert located(tmp_path, "train/2.png", base=tmp_path) == ["missing"]
    assert located(tmp_path, "C:\\x\\train\\2.png", "/x/train/3.png") == ["missing", "missing"]


def test_a_file_of_another_split_is_not_taken(tmp_path):
    touch(tmp_path, "valid/1.png", "Training/2.png")
    assert located(tmp_path, "1.png", "/x/images/1.png", split="train") == ["missing", "missing"]
    assert located(tmp_path, "/x/2.png", split="val") == ["missing"]
    with pytest.warns(AssumedWarning):
        assert located(tmp_path, "/x/2.png", split="train") == ["Training/2.png"]
        assert located(tmp_path, "/x/2.png", "1.png") == ["Training/2.png", "valid/1.png"]
        assert located(tmp_path, "/x/valid/1.png", split="train") == ["valid/1.png"]


def test_two_paths_never_become_one_file(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    locations = located(tmp_path, "C:\\a\\1.png", "C:\\b\\1.png")
    assert locations == [
        f"C:\\a\\1.png and C:\\b\\1.png may both be {tmp_path}/1.png",
        f"C:\\b\\1.png and C:\\a\\1.png may both be {tmp_path}/1.png",
    ]
    mixed = located(tmp_path, "2.png", "C:\\b\\2.png", base=tmp_path)
    assert mixed == ["2.png", f"C:\\b\\2.png and 2.png may both be {tmp_path}/2.png"]


def test_nothing_outside_the_root_is_taken(tmp_path):
    root = tmp_path / "root"
    touch(tmp_path, "secret.png", "root/1.png", "rooted/1.png")
    names = ["../secret.png", str(tmp_path / "secret.png"), f"file://{tmp_path}/secret.png"]
    for base in (None, root):
        assert located(root, *names, base=base) == ["missing"] * 3
    for path in Locator(root).files(names, SOURCE, root).values():
        assert path.path.is_relative_to(root)
        assert ".." not in path.path.parts


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "C:\\", "a\0b.png", "n" * 300 + ".png", "?d="]
)
def test_a_path_without_a_file_is_missing(name, tmp_path):
    touch(tmp_path, "1.png")
    assert located(tmp_path, name) == ["missing"]


def test_folders_are_found_by_their_ends_too(tmp_path):
    touch(tmp_path, "images/train/1.png", "images/val/1.png", "x/data/1.png", "y/data/1.png")
    folders = {split: Locator(tmp_path, split).folder for split in ("train", "val")}
    for written in ("images/train", "C:\\cells\\images\\train", "../images/train", "/a/train"):
        assert folders["train"](written) == tmp_path / "images/train"
    assert folders["val"]("D:\\images\\val") == tmp_path / "images/val"
    assert folders["val"]("D:\\images\\dev") is None
    assert folders["val"]("images") == tmp_path / "images"
    with pytest.raises(gvt.DataError, match=r"C:\\data: may be .*/x/data or .*/y/data; write it"):
        folders["train"]("C:\\data")


def test_a_folder_of_another_split_is_not_taken(tmp_path):
    touch(tmp_path, "train/images/1.png")
    assert Locator(tmp_path, "val").folder("../valid/images") is None
    assert Locator(tmp_path, "train").folder("../train/images") == tmp_path / "train/images"


def test_paths_of_any_system_are_split():
    assert parts_of("C:\\a/b\\.\\c.png") == ("C:", "a", "b", "c.png")
    assert parts_of("../../a/../b.png") == ("b.png",)
    assert parts_of("") == ()
