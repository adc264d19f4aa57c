"""The recipes, on a made-up language and, where it is, on the real data."""

import os
from pathlib import Path

import pytest
import torch

import gvt
from gvt.checkpoint.document import read_header

REAL = Path(os.environ.get("GVT_DATA", "data")) / "imdb"


def test_it_learns_the_rule_and_keeps_its_vocabulary(run):
    assert run.metrics["test/accuracy"] > 0.95
    document = read_header(run.folder / "checkpoints" / "last.safetensors").document
    reader = document["data"]["reader"]
    assert reader["field"] == "tokens" and reader["length"] == 16
    assert {"na", "to"} <= set(reader["words"])


def test_a_resumed_run_has_the_weights_of_an_uninterrupted_one(run, table, small, tmp_path):
    begun = gvt.run(
        "text.folder",
        f"data.root={table}",
        f"run.root={tmp_path}",
        *small,
        "train.epochs=2",
        quiet=True,
    )
    gvt.resume(begun.folder, "train.epochs=6", quiet=True)
    whole, halves = (gvt.load(folder).state_dict() for folder in (run.folder, begun.folder))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_a_checkpoint_is_evaluated_with_the_words_that_it_has_learned(run, tmp_path):
    whole = gvt.evaluate_checkpoint(run.folder, split="test")
    assert whole.metrics["accuracy"] == run.metrics["test/accuracy"]
    # Words of other frequency would have other numbers in a vocabulary of their own.
    lines = ["zu mi na to", "zu to na", "zu zu zu ra na to", "sel to na mi mi"]
    labels = ["question", "answer", "question", "answer"]
    rows = [f"{text},{label}" for text, label in zip(lines, labels, strict=True)]
    (tmp_path / "test.csv").write_text("\n".join(["text,label", *rows]))
    overrides = [f"data.root={tmp_path}", "data.val=0", "data.test=0"]
    small = gvt.evaluate_checkpoint(run.folder, *overrides, split="test", out=tmp_path / "out")
    assert small.metrics["accuracy"] == 1


def test_predictions_of_sentences_and_files(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Ka to na bo.")
    (tmp_path / "texts" / "b.txt").write_text("Ka na to bo.")
    results = gvt.predict(run.folder, ["Mi na to", str(tmp_path / "texts")], out=tmp_path / "out")
    assert [r.summary["class"] for r in results] == ["question", "answer", "question"]
    assert [str(r.path) for r in results][:1] == ["Mi na to"]
    assert all(r.prediction["scores"].sum() == pytest.approx(1) for r in results)


def test_without_imdb_there_is_one_line_with_its_source_and_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("GVT_DATA", str(tmp_path))
    with pytest.raises(gvt.DataError) as caught:
        gvt.run("text.imdb", quiet=True)
    message = str(caught.value)
    assert "\n" not in message and str(tmp_path / "imdb") in message
    assert "ai.stanford.edu" in message and "train.jsonl.gz" in message and "pos and neg" in message


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="GVT_DATA, the real data, is not set")
def test_the_real_reviews():
    """Half of them train, a tenth of these choose the epoch; a few steps find some sentiment."""
    config = gvt.compose("text.imdb")
    data = gvt.create("dataset", "text_folder", split="train", **config.data.parameters)
    assert len(data) == 22_500 and len(data.info.reader["words"]) == 9_998
    assert data.info.reader["words"][:3] == ["the", "and", "a"]
    assert {int(data[n].inputs["tokens"].max()) < 10_000 for n in range(100)} == {True}
