"""Labelled texts in folders and tables."""

import gzip
import json
from pathlib import Path

import pytest

import gvt
from gvt_text.texts import Text, divided, read_splits

COLUMNS = ("text", "label")


def write(root, **files):
    """Write files below a folder; `__` in a name is a slash, `_` before the suffix a dot."""
    for name, content in files.items():
        path = root / Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def pairs(by_split):
    return {split: [(t.text, t.label) for t in texts] for split, texts in by_split.items()}


def test_class_folders(tmp_path):
    root = write(tmp_path, dog__a_txt="wuff", cat__deep__b_txt="miau", cat__c_md="no text")
    assert pairs(read_splits(root, COLUMNS)) == {"train": [("miau", "cat"), ("wuff", "dog")]}


def test_class_folders_of_splits(tmp_path):
    root = write(tmp_path, train__a__x_txt="1", testing__a__x_txt="2", Dev__b__x_txt="3")
    by_split = read_splits(root, COLUMNS)
    assert pairs(by_split) == {"train": [("1", "a")], "val": [("3", "b")], "test": [("2", "a")]}
    assert [text.name for text in by_split["test"]] == ["testing/a/x.txt"]


def test_the_published_layout_of_imdb_has_files_beside_its_classes(tmp_path):
    root = write(tmp_path, train__pos__0_txt="good", train__unsup__0_txt="?", train__urls_txt="u")
    assert pairs(read_splits(root, COLUMNS, ["neg", "pos"])) == {"train": [("good", "pos")]}
    with pytest.raises(gvt.DataError, match=r"urls.txt: is not in a class folder; put the texts"):
        read_splits(root, COLUMNS)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mails.csv", '\ufefftext,label,more\n"a, b",x,1\n"two\nlines",7,\n'),
        ("mails.jsonl", '{"text": "a, b", "label": "x"}\n\n{"label": 7, "text": "two\\nlines"}'),
    ],
)
def test_a_table(name, content, packed, tmp_path):
    data = content.encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    assert pairs(read_splits(path, COLUMNS)) == {"train": [("a, b", "x"), ("two\nlines", "7")]}


def test_tables_of_splits_and_other_columns(tmp_path):
    rows = [json.dumps({"body": str(n), "topic": "x"}) for n in range(2)]
    root = write(tmp_path, train_jsonl=rows[0], test_jsonl=rows[1], more_jsonl="no table")
    by_split = read_splits(root, ("body", "topic"))
    assert pairs(by_split) == {"train": [("0", "x")], "test": [("1", "x")]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,topic\nhello,x\n", "line 2: has no 'label', but text, topic; name"),
        ("a.csv", b"text,label\nhello,\n", "line 2: has no 'label'"),
        ("a.csv", b'text,label\n"hello,x\n', "is not CSV"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\nhello\n', "line 2: is not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: is not a JSON object"),
        ("a.jsonl", b"\xff", "is not text in UTF-8"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.tsv", b"a\tb\n", "is neither .csv nor .jsonl"),
    ],
)
def test_a_wrong_table_is_one_line_with_its_place(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(gvt.DataError) as caught:
        read_splits(path, COLUMNS)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_two_tables_of_a_split_are_one_line(tmp_path):
    root = write(tmp_path, val_csv="text,label\na,b\n", valid_csv="text,label\na,b\n")
    with pytest.raises(gvt.DataError, match=r"val.csv and valid.csv in .* are both the split val"):
        read_splits(root, COLUMNS)


def test_shares_depend_on_names_and_not_on_the_order():
    texts = [Text(f"{n}.txt", str(n), "a") for n in range(100)]
    shares = {"val": 0.2, "test": 0.1}
    one, other = (divided({"train": t}, shares, 0) for t in (texts, texts[::-1]))
    assert {split: len(part) for split, part in one.items()} == {"train": 70, "val": 20, "test": 10}
    assert {s: sorted(t.name for t in p) for s, p in one.items()} == {
        s: sorted(t.name for t in p) for s, p in other.items()
    }
    assert [t for t in texts if t in one["train"]] == one["train"]
    assert divided({"train": texts}, shares, 1) != one


def test_a_split_of_its_own_takes_no_share():
    by_split = {"train": [Text("a", "a", "x")] * 4, "test": [Text("b", "b", "x")]}
    assert divided(by_split, {"val": 0.0, "test": 0.5}, 0) == {**by_split, "val": []}


def test_shares_that_leave_nothing_are_one_line():
    with pytest.raises(ValueError, match="give at least 0, and together less than 1"):
        divided({}, {"val": 0.6, "test": 0.4}, 0)
