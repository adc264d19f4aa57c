"""Which words decided: computed, as a coloured line, and by the command."""

import io
import re
import sys

import pytest
import torch

import gvt
from gvt.cli.main import main
from gvt_text.arguments import texts_of
from gvt_text.influence import Influence, influences
from gvt_text.line import coloured, listed, page, show
from gvt_text.reader import TextReader

CPU = gvt.Placement.resolve("cpu", precision="float32")
READER = TextReader(("good", "bad", "film"), 4)


class Counting(gvt.Task):
    """A task whose log odds of class 1 are what good and bad words weigh."""

    phases = (gvt.Phase("none", trains="weights"),)

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Embedding.from_pretrained(
            torch.tensor([[0.0], [0.0], [1.5], [-0.5], [0.0]])
        )

    def predict(self, batch):
        odds = self.weights(batch.inputs["tokens"]).sum(dim=(1, 2))
        scores = torch.stack([(-odds).sigmoid(), odds.sigmoid()], dim=1)
        return [{"class": s.argmax(), "scores": s} for s in scores]


def test_the_influence_of_a_word_is_what_the_odds_lose_without_it():
    text = "Film! A bad film<br />but GOOD"
    (influence,) = influences(Counting(), CPU, READER, text).values()
    assert (influence.label, influence.score) == (1, pytest.approx(1 / (1 + 2.718282**-1)))
    words = [text[start:end] for start, end in influence.places]
    assert words == ["Film", "A", "bad", "film", "but", "GOOD"]
    gains = torch.tensor([torch.nan, torch.nan, -0.5, 0, 0, 1.5])
    torch.testing.assert_close(influence.gains, gains, equal_nan=True, atol=1e-5, rtol=0)
    assert listed(text, influence) == "for it: GOOD +1.50; against it: bad -0.50"


def test_for_the_other_class_the_signs_are_the_other_way():
    (influence,) = influences(Counting(), CPU, READER, "bad").values()
    assert influence.label == 0
    assert influence.gains.tolist() == pytest.approx([0.5], abs=1e-5)


def test_a_text_without_words_has_no_influences():
    (influence,) = influences(Counting(), CPU, READER, "...").values()
    assert len(influence.gains) == 0
    assert listed("...", influence) == "for it: no word; against it: no word"
    assert coloured("...", influence).plain == "..."


def test_a_model_without_classes_is_one_line():
    class Scores(Counting):
        def predict(self, batch):
            return [{"labels": torch.zeros(0)} for _ in batch.inputs["tokens"]]

    with pytest.raises(gvt.UsageError, match="no head of this model predicts a class"):
        influences(Scores(), CPU, READER, "a text")


def line_of(text, gains):
    places = [match.span() for match in re.finditer(r"\w+", text)]
    return coloured(text, Influence(1, 0.9, places, torch.tensor(gains)))


def test_words_for_the_class_are_green_and_words_against_it_red():
    line = line_of("much good, and a bad\x1b[31m end", [torch.nan, 2.0, 0.01, 0.0, -1.0, 0.0, 0.0])
    assert "\x1b" not in line.plain
    styles = {line.plain[s.start : s.end]: str(s.style) for s in line.spans}
    assert styles == {
        "much": "dim",
        "good": "black on rgb(0,150,60)",
        "bad": "black on rgb(232,142,142)",
    }


def test_colours_are_for_terminals_alone():
    line = line_of("good", [1.0])
    stream = io.StringIO()
    show(line, stream)
    assert stream.getvalue() == "good\n"
    assert 'background-color: #00963c">good</span>' in page([line])
    assert "&lt;b&gt;" in page([line_of("<b> good", [0.0, 1.0])])


def test_arguments_are_sentences_files_and_folders(tmp_path):
    (tmp_path / "texts" / "more").mkdir(parents=True)
    (tmp_path / "texts" / "b.txt").write_text("in b")
    (tmp_path / "texts" / "more" / "a.txt").write_text("in a")
    (tmp_path / "texts" / "c.png").write_text("no text")
    (tmp_path / "mail").write_text("a mail")
    long = "word " * 100
    texts = texts_of([str(tmp_path / "mail"), str(tmp_path / "texts"), "x/y or z", long])
    assert [text for _, text in texts] == ["a mail", "in b", "in a", "x/y or z", long]
    assert texts[-2][0] == "x/y or z" and len(texts[-1][0]) == 63


@pytest.mark.parametrize(
    ("argument", "message"),
    [("", "a text is empty"), ("no.txt", "no such file"), ("a/b", "no such file"), (".", ".txt")],
)
def test_a_wrong_argument_is_one_line(argument, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gvt.UsageError, match=message):
        texts_of([argument])


def test_the_command_prints_the_line_and_writes_a_page(run, tmp_path, monkeypatch, capfd):
    out = tmp_path / "words.html"
    words = ["gvt", "words", str(run.folder), "Zu mi na to bo.", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    printed, errors = capfd.readouterr()
    assert (ended.value.code, errors) == (0, f"written to {out}\n")
    title, line, deciding = printed.splitlines()
    assert re.fullmatch(r"Zu mi na to bo\.  question 0\.\d{3}|.*question 1\.000", title)
    assert line == "Zu mi na to bo."
    best = re.findall(r"for it: (\w+) \+\d", deciding)
    assert best[0] in ("na", "to")
    assert "background-color" in out.read_text(encoding="utf-8")
