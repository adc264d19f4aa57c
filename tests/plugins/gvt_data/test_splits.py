"""Splits by list and by share."""

import re
from pathlib import PurePosixPath

import pytest

import gvt
from gvt_data.splits import check_shares, divided, listed, picked

NAMES = {name: name.upper() for name in ("00", "05", "24", "a", "b/c")}


def test_names_are_picked_in_their_own_order():
    wanted = [("data.val", name) for name in ("b/c", 5, "a.png", 24)]
    assert picked(NAMES, wanted) == {"05": "05", "24": "24", "a": "A", "b/c": "B/C"}


@pytest.mark.parametrize("name", [7, "5", "c", "a.b"])
def test_a_name_that_is_not_there_is_one_line(name):
    with pytest.raises(gvt.DataError, match=rf"^data\.val: no picture is called {name}$"):
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
    ("content", "says"), [(None, "No such file"), ("ü".encode("latin1"), "no text in UTF-8")]
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
    with pytest.raises(ValueError, match="shares from 0, together less than 1"):
        check_shares(shares)
