"""The data set of one's own texts."""

import pytest

import gvt


def folder(table, split="train", **parameters):
    return gvt.create("dataset", "text_folder", split=split, root=str(table), **parameters)


def test_samples_are_tokens_with_a_class(table):
    data = folder(table, length=12)
    assert data.info.classes == ("answer", "question")
    assert data.info.class_counts == (150, 150)
    sample = data[1]
    assert list(sample.inputs) == ["text", "tokens"] and sample.inputs["tokens"].shape == (12,)
    assert sample.inputs["text"].endswith(".")
    assert int(sample.targets["class"]) == 1
    assert sample.record.source == "language.jsonl:2"
    with pytest.raises(
        gvt.DataError, match=r"language.jsonl:2 has no image; its inputs are text, tokens"
    ):
        _ = sample.image


def test_splits_are_shares_and_their_vocabulary_is_that_of_the_training_split(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"word{n} same,{n % 2}\n" for n in range(40)))
    train, val = (folder(path, split, val=0.25) for split in ("train", "val"))
    assert (len(train), len(val)) == (30, 10)
    assert train.info.reader == val.info.reader
    words = set(train.info.reader["words"])
    assert len(words) == 31 and "same" in words
    assert all(sample.inputs["tokens"].tolist()[-2] == 1 for sample in val)


def test_the_reader_of_the_training_data_replaces_the_vocabulary(table):
    reader = {"field": "tokens", "words": ["to", "na"], "length": 20}
    data = folder(table, reader=reader, vocabulary=1000, length=200)
    assert data.info.reader == reader
    assert {frozenset(data[n].inputs["tokens"].tolist()) for n in range(20)} == {
        frozenset({0, 1, 2, 3})
    }


def test_classes_are_chosen_in_their_order(table):
    data = folder(table, classes=["question", "answer"])
    assert data.info.classes == ("question", "answer")
    assert int(data[0].targets["class"]) == 1
    with pytest.raises(gvt.ConfigError, match="there are answer"):
        folder(table, classes=["answer", "thanks"])


def test_the_fingerprint_changes_with_a_text_or_its_class(tmp_path):
    fingerprints = set()
    for number, line in enumerate(("a b,x", "a c,x", "a b,y")):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"text,label\n{line}\n")
        fingerprints.add(folder(path).info.fingerprint)
    assert len(fingerprints) == 3


def test_an_absent_or_empty_root_is_one_line(tmp_path, table):
    about = "it is at example.org: folders train and test"
    for root, split, options, message in (
        (tmp_path / "no", "train", {}, "there is no file or folder .*put the texts of each class"),
        (tmp_path / "no", "train", {"about": about}, f"; {about}$"),
        (tmp_path, "train", {}, "split train of .* has no texts"),
        (table, "test", {}, "split test of .* has no texts"),
    ):
        with pytest.raises(gvt.DataError, match=message) as caught:
            folder(root, split, **options)
        assert "\n" not in str(caught.value)


def test_without_training_texts_there_is_no_vocabulary(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\na b,x\n")
    with pytest.raises(gvt.DataError, match="no training texts"):
        folder(tmp_path, "test")
    reader = {"field": "tokens", "words": ["b"], "length": 3}
    assert folder(tmp_path, "test", reader=reader)[0].inputs["tokens"].tolist() == [0, 1, 2]
