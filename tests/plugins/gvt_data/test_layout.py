"""Splits and classes by the names of folders."""

import os
import re
import socket

import pytest

import gvt
from gvt_data.layout import read_layout

NONE = {"val": 0.0, "test": 0.0}


@pytest.fixture
def make(tmp_path):
    """Return what makes empty files: a layout looks at names only."""

    def add(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return add


def names(layout, split):
    return [(path.name, of) for path, of in layout.pictures[split]]


def test_class_folders(make):
    root = make("b/2.png", "b/1.JPG", "a/deep/er/3.jpeg", "b/notes.txt", ".git/x.png", "b/.y.png")
    (root / "empty").mkdir()
    layout = read_layout(root, NONE, 0)
    assert layout.classes == ("a", "b")
    assert names(layout, "train") == [("3.jpeg", "a"), ("1.JPG", "b"), ("2.png", "b")]
    assert not layout.pictures["val"] and not layout.pictures["test"]


def test_no_class_folders(make):
    layout = read_layout(make("2.png", "1.webp", "readme.md"), NONE, 0)
    assert layout.classes == ()
    assert names(layout, "train") == [("1.webp", None), ("2.png", None)]


def test_split_folders(make):
    root = make("train/b/1.png", "val/a/2.png", "test/3.png", "README.md")
    layout = read_layout(root, {"val": 0.5, "test": 0.5}, 0)
    assert layout.classes == ("a", "b")
    assert names(layout, "train") == [("1.png", "b")]
    assert names(layout, "val") == [("2.png", "a")]
    assert names(layout, "test") == [("3.png", None)]


def test_a_split_without_a_folder_takes_its_share_of_the_training_pictures(make):
    files = [f"{n}.png" for n in range(200)]
    loose = read_layout(make(*files), {"val": 0.25, "test": 0.25}, 3)
    for name in files:
        (make() / name).unlink()
    root = make(*(f"train/{name}" for name in files), "test/x.png")
    layout = read_layout(root, {"val": 0.25, "test": 0.25}, 3)
    assert names(layout, "val") == names(loose, "val")
    assert names(layout, "test") == [("x.png", None)]
    assert len(layout.pictures["train"]) + len(layout.pictures["val"]) == 200


def test_shares_are_met_and_nothing_is_in_two_splits(make):
    root = make(*(f"{c}/{n}.png" for c in "ab" for n in range(300)))
    layout = read_layout(root, {"val": 0.2, "test": 0.1}, 0)
    paths = [path for part in layout.pictures.values() for path, _ in part]
    assert len(paths) == len(set(paths)) == 600
    for of in "ab":
        counts = [sum(o == of for _, o in layout.pictures[s]) for s in ("val", "test")]
        assert counts[0] == pytest.approx(60, abs=21)  # three standard deviations
        assert counts[1] == pytest.approx(30, abs=16)
    other = read_layout(root, {"val": 0.2, "test": 0.1}, 1)
    assert names(other, "val") != names(layout, "val")


def test_no_picture_changes_sides_when_others_are_added(make):
    shares = {"val": 0.3, "test": 0.2}
    before = read_layout(make(*(f"a/{n}.png" for n in range(60))), shares, 5)
    after = read_layout(make(*(f"a/0{n}.png" for n in range(60)), "b/1.png"), shares, 5)
    for split, part in before.pictures.items():
        assert {path for path, _ in part} <= {path for path, _ in after.pictures[split]}
    assert len({p for p, _ in after.pictures["train"]}) > len(before.pictures["train"])


def test_one_share_does_not_move_the_other(make):
    root = make(*(f"{n}.png" for n in range(100)))
    one = read_layout(root, {"val": 0.2, "test": 0.1}, 0)
    more = read_layout(root, {"val": 0.2, "test": 0.4}, 0)
    assert names(one, "val") == names(more, "val")
    assert set(names(one, "test")) < set(names(more, "test"))


@pytest.mark.skipif(os.name == "nt", reason="on Windows, links need special rights")
def test_links_to_folders_are_followed_but_not_in_circles(make, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "1.png").touch()
    root = make("a/1.png")
    (root / "b").symlink_to(elsewhere)
    (root / "a" / "circle").symlink_to(root)
    layout = read_layout(root, NONE, 0)
    assert names(layout, "train") == [("1.png", "a"), ("1.png", "b")]


@pytest.mark.skipif(os.name == "nt", reason="on Windows, links need special rights")
def test_folders_that_link_to_each_other_are_listed_once(make):
    # Each of twelve has links to the others: an exponential number of ways leads to each.
    root = make(*(f"{n:02}/{n}.png" for n in range(12)))
    for folder in sorted(root.iterdir()):
        for other in range(12):
            (folder / f"to{other:02}").symlink_to(root / f"{other:02}")
    found = names(read_layout(root, NONE, 0), "train")
    assert found == [(f"{n}.png", f"{n:02}") for n in range(12)]


@pytest.mark.skipif(os.name == "nt", reason="on Windows, links need special rights")
def test_a_folder_counts_where_it_stands_and_otherwise_at_the_first_link(make, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "2.png").touch()
    root = make("z/deep/1.png")
    (root / "a").symlink_to(root / "z" / "deep")
    for link in ("c", "b"):
        (root / link).symlink_to(elsewhere)
    layout = read_layout(root, NONE, 0)
    assert names(layout, "train") == [("2.png", "b"), ("1.png", "z")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_and_sockets_are_no_pictures_and_a_broken_link_is_kept(make):
    root = make("1.png")
    os.mkfifo(root / "2.png")
    (root / "3.png").symlink_to(root / "2.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "4.png"))  # of which the name may not be long
    (root / "5.png").symlink_to(root / "nowhere")
    (root / "6.png").symlink_to(root / "6.png")
    (root / "7").symlink_to(root / "nowhere")
    layout = read_layout(root, NONE, 0)
    assert [name for name, _ in names(layout, "train")] == ["1.png", "5.png", "6.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("files", [["cat/1.png", "\x1b[2J\n.png"], ["val/1.png", "\x1b[2J\n.png"]])
def test_what_a_name_would_do_to_a_terminal_is_escaped(make, files):
    with pytest.raises(gvt.DataError, match=r"\\x1b\[2J\\n\.png") as caught:
        read_layout(make(*files), NONE, 0)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([], "no images in .*ROOT/cat/1.jpg"),
        (["notes.txt"], "no images in"),
        (["a/1.png", "2.png"], r"in class folders \(a/1.png\) and beside them \(2.png\)"),
        (["train/a/1.png", "train/2.png"], r"\(train/a/1.png\) and beside them \(train/2.png\)"),
        (["train/1.png", "cats/2.png"], "cats/2.png beside the split train"),
        (["test/1.png", "2.png"], "2.png beside the split test"),
    ],
)
def test_other_layouts_are_one_line(make, files, says):
    with pytest.raises(gvt.DataError, match=f"^data.root: .*{says}"):
        read_layout(make(*files), NONE, 0)


def test_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(gvt.DataError, match=r"no folder '.*gone'; expected: .*ROOT/train/cat"):
        read_layout(tmp_path / "gone", NONE, 0)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("Training", "Validation", "Testing"), ("train", "valid", "test"), ("TRAIN", "dev", "TEST")],
)
def test_splits_have_several_names(make, train, val, test):
    root = make(f"{train}/b/1.png", f"{train}/a/2.png", f"{val}/a/3.png", f"{test}/b/4.png")
    layout = read_layout(root, {"val": 0.5, "test": 0.5}, 0)
    assert layout.classes == ("a", "b")
    assert names(layout, "train") == [("2.png", "a"), ("1.png", "b")]
    assert names(layout, "val") == [("3.png", "a")]
    assert names(layout, "test") == [("4.png", "b")]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["val/a/1.png", "valid/a/2.png", "train/a/3.png"], "val and valid in .* both the split"),
        (["seg_train/a/1.png", "seg_test/a/2.png"], r"like splits \(seg_test, seg_train\); name"),
        (["trainA/1.png", "testA/2.png"], r"like splits \(testA, trainA\)"),
        (["train/train/a/1.png", "val/val/a/2.png"], r"like splits \(train, val\)"),
        (["set/train/a/1.png", "set/val/a/2.png"], "in a folder .*; give data.root=.*/set$"),
        (["x/y/Training/1.png", "x/y/dev/2.png"], "; give data.root=.*/x/y$"),
        (["my set/train/a/1.png"], "; give 'data.root=.*/my set'$"),
        (["a/train/1.png", "b/train/2.png", "b/test/3.png"], r"below its class .*a/train/1.png"),
        (["train/a/1.png", "seg_val/a/2.png"], "seg_val/a/2.png beside the split train"),
    ],
)
def test_splits_are_never_taken_for_classes(make, files, says):
    with pytest.raises(gvt.DataError, match=f"^data.root: .*{says}"):
        read_layout(make(*files), NONE, 0)


def test_classes_that_are_called_like_splits_can_be_named(make):
    root = make("seg_train/1.png", "seg_test/2.png")
    assert read_layout(root, NONE, 0, by_name=True).classes == ("seg_test", "seg_train")


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (["x/a/1.png", "x/b/2.png"], r"are the folders in x \(a, b\), give data.root=.*/x$"),
        (["x/y/a/1.png", "x/y/b/c/2.png"], r"in x/y \(a, b\), give data.root=.*/x/y$"),
        (["train/x/a/1.png", "train/x/b/2.png"], r"in train/x \(a, b\), move them up into train"),
        (["x/1.png", "x/2.png"], "^$"),
        (["x/a/1.png", "x/2.png"], "^$"),
        (["a/x/1.png", "b/y/2.png"], "^$"),
    ],
)
def test_one_class_has_a_hint_where_others_may_be(make, files, hint):
    assert re.search(hint, read_layout(make(*files), NONE, 0).hint)


def test_folders_without_pictures_are_known(make):
    root = make("a/1.png", "b/notes.txt", "@eaDir/x.db", "val/.keep", "c/.png")
    (root / "d" / "e").mkdir(parents=True)
    assert [str(name) for name in read_layout(root, NONE, 0).empty] == ["b", "c", "d", "val"]
    root = make("train/a/1.png", "test/c/2.png", "train/c/x.txt", "other/x.txt")
    for loose in ("a/1.png",):
        (root / loose).unlink()
    empty = [str(name) for name in read_layout(root, NONE, 0).empty]
    assert empty == ["val"]  # c is a class, by its pictures in test, and `other` says nothing
    (root / "train" / "d").mkdir()
    empty = [str(name) for name in read_layout(root, NONE, 0).empty]
    assert empty == ["val", "train/d"]


def test_pictures_without_classes_have_folders_as_they_like(make):
    assert read_layout(make("1.png", "notes/a.txt"), NONE, 0).empty == ()


def test_files_that_are_passed_over_belong_to_splits(make):
    root = make("train/a/1.png", "train/a/2.heic", "val/a/3.png", "val/a/4.heic", "README.md")
    others = read_layout(root, NONE, 0).others
    assert {split: [str(name) for name in part] for split, part in others.items()} == {
        "train": ["README.md", "train/a/2.heic"],
        "val": ["val/a/4.heic"],
    }


def test_composed_and_decomposed_folders_are_one_class(make):
    layout = read_layout(make("caf\u00e9/1.png", "cafe\u0301/2.png"), NONE, 0)
    assert layout.classes == ("caf\u00e9",)
    assert [of for _, of in names(layout, "train")] == ["caf\u00e9"] * 2
    assert all(path.exists() for path, _ in layout.pictures["train"])
