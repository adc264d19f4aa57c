"""Splits by list and by share."""

import re
import unicodedata
from pathlib import PurePosixPath

import pytest

import gvt
from gvt_data.splits import (
    by_split_folder,
    check_shares,
    divided,
    listed,
    own_name,
    picked,
    split_folders,
    split_of,
)

NAMES = {name: name.upper() for name in ("00", "05", "24", "a", "b/c")}


def test_names_are_picked_in_their_own_order():
    wanted = [("data.val", name) for name in ("b/c", 5, "a.png", 24)]
    assert picked(NAMES, wanted) == {"05": "05", "24": "24", "a": "A", "b/c": "B/C"}


@pytest.mark.parametrize("name", [7, "5", "c", "a.b"])
def test_a_name_that_is_not_there_is_one_line(name):
    with pytest.raises(gvt.DataError, match=rf"^data\.val: there is no image named {name}$"):
        picked(NAMES, [("data.val", name)])


def test_a_number_that_stands_for_two_is_one_line():
    with pytest.raises(gvt.DataError, match=r"data\.val: 5 may be 05 or 5; write it as text"):
        picked({**NAMES, "5": "x"}, [("data.val", 5)])


def test_a_list_is_a_name_on_each_line(tmp_path):
    (tmp_path / "val.txt").write_bytes("\ufeff05\r\n\n  a.png \nü\n".encode())
    found = listed(tmp_path, "val", "val.txt")
    assert [name for _, name in found] == ["05", "a.png", "ü"]
    assert found[1][0].endswith("val.txt: line 3")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("ü".encode("latin1"), "not UTF-8 text")]
)
def test_a_list_that_is_none_is_one_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "val.txt").write_bytes(content)
    path = re.escape(str(tmp_path / "val.txt"))
    with pytest.raises(gvt.DataError, match=rf"^data\.val: {path}: .*{says}"):
        listed(tmp_path, "val", "val.txt")


def test_a_share_is_met_and_nothing_moves_when_more_is_added():
    def parts(count):
        names = [PurePosixPath(f"{number}") for number in range(count)]
        return divided({"train": names}, {"val": 0.2, "test": 0.1}, 0, lambda name: name)

    few, many = parts(500), parts(1000)
    assert 0.15 < len(many["val"]) / 1000 < 0.25
    assert 0.07 < len(many["test"]) / 1000 < 0.13
    for split in ("train", "val", "test"):
        assert [n for n in many[split] if int(str(n)) < 500] == few[split]


@pytest.mark.parametrize("shares", [{"val": -0.1}, {"val": 0.5, "test": 0.5}])
def test_impossible_shares_are_one_line(shares):
    with pytest.raises(ValueError, match="shares of at least 0 and together less than 1"):
        check_shares(shares)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Training", "TRAIN", "train2017", "training_set", "train-data"]),
        ("val", ["val", "valid", "Validation", "dev", "val2014", "valid set"]),
        ("test", ["test", "Testing", "test_set", "TestSet"]),
        (None, ["", "trains", "validity", "tests", "train2018", "seg_train", "contest", "set"]),
    ],
)
def test_a_split_has_several_names(split, names):
    assert {split_of(name) for name in names} == {split}


def test_split_folders_are_in_the_order_of_splits(tmp_path):
    names = ["Testing", "cat", "valid", "Training", "valid"]
    assert list(split_folders(tmp_path, names).items()) == [
        ("train", "Training"),
        ("val", "valid"),
        ("test", "Testing"),
    ]


def test_two_folders_of_one_split_are_one_line(tmp_path):
    with pytest.raises(gvt.DataError, match=r"val and valid in .* are both the split val"):
        split_folders(tmp_path, ["valid", "train", "val"])


def test_pictures_beside_splits_are_one_line(tmp_path):
    # The second is a picture called `test`, as pairs have it, without its suffix.
    for beside in ("cat/1", "test"):
        names = [PurePosixPath("Training/a/1"), PurePosixPath(beside)]
        with pytest.raises(gvt.DataError, match=f"{beside} beside the split Training"):
            by_split_folder(tmp_path, names)


def test_a_picture_is_divided_by_its_name_below_any_training_folder():
    assert own_name(PurePosixPath("Training/cat/1")) == PurePosixPath("cat/1")
    assert own_name(PurePosixPath("train")) == PurePosixPath("train")
    splits = [
        divided(
            {"train": [PurePosixPath(f"{folder}{n}") for n in range(40)]},
            {"val": 0.3},
            0,
            lambda name: name,
        )["val"]
        for folder in ("", "train/", "Training/")
    ]
    assert 5 < len(splits[0]) < 20
    assert [[own_name(name) for name in part] for part in splits] == [splits[0]] * 3


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [3, 4, 7])
@pytest.mark.parametrize("shares", [{"val": 0.05, "test": 0.01}, {"val": 0.5, "test": 0.45}])
def test_a_share_takes_at_least_one_and_leaves_one(count, shares, seed):
    names = [PurePosixPath(f"{number}") for number in range(count)]
    parts = divided({"train": names}, shares, seed, lambda name: name)
    assert min(len(part) for part in parts.values()) >= 1
    assert sorted(name for part in parts.values() for name in part) == names


def test_few_pictures_are_shared_out_only_where_a_share_is_given():
    one = [PurePosixPath("a")]
    parts = divided({"train": one, "val": [*one]}, {"val": 0.2, "test": 0}, 0, lambda name: name)
    assert parts == {"train": one, "val": one, "test": []}
    says = r"^data: 1 training images .* train, val \(0\.2\); .*at least 2 .* give data\.val=0$"
    with pytest.raises(gvt.DataError, match=says):
        divided({"train": one}, {"val": 0.2, "test": 0}, 0, lambda name: name)


def test_composed_and_decomposed_names_are_the_same():
    names = {"caf\u00e9": 1, "u\u0308ber/a": 2, "b": 3}
    wanted = [("data.val", "cafe\u0301.png"), ("data.val", "\u00fcber/a")]
    assert picked(names, wanted) == {"caf\u00e9": 1, "u\u0308ber/a": 2}
    sides = []
    for form in ("NFC", "NFD"):
        pool = [PurePosixPath(unicodedata.normalize(form, f"\u00e9{n}")) for n in range(50)]
        parts = divided({"train": pool}, {"val": 0.5}, 0, lambda name: name)
        sides.append([pool.index(name) for name in parts["val"]])
    assert sides[0] == sides[1]
    assert 10 < len(sides[0]) < 40
