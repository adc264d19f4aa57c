"""A made-up language with a known rule, and a run that has learned it."""

import json
import random

import pytest

import gvt

WORDS = ("bo", "ka", "lumi", "mi", "ra", "sel", "tor", "zu")
_SMALL = (
    "data.length=16",
    "data.val=0.2",
    "data.test=0.2",
    "data.batch_size=20",
    "data.workers=0",
    "backbone.embedding=12",
    "backbone.filters=12",
    "backbone.width=2",
    "heads.topic.hidden=[8]",
    "optimizers.model.lr=2e-2",
    "optimizers.model.schedule=null",
    "train.epochs=6",
    "device=cpu",
)


@pytest.fixture(scope="session")
def small():
    """Return overrides of `text.folder` that learn the language in a second."""
    return _SMALL


def sentence(source, label):
    """Return a text: `na` before `to` makes it a question, `to` before `na` an answer."""
    words = [source.choice(WORDS) for _ in range(source.randint(3, 10))]
    place = source.randrange(len(words))
    words[place:place] = ["na", "to"] if label == "question" else ["to", "na"]
    return " ".join(words).capitalize() + "."


def sentences(count, seed=0):
    """Return texts of the language with their classes, in turn."""
    source = random.Random(seed)
    labels = ("answer", "question")
    return [(sentence(source, labels[n % 2]), labels[n % 2]) for n in range(count)]


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Return a table of 300 texts."""
    path = tmp_path_factory.mktemp("language") / "language.jsonl"
    rows = [json.dumps({"text": text, "label": label}) for text, label in sentences(300)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def run(table, small, tmp_path_factory):
    """Return a run of `text.folder` that has learned the rule."""
    root = tmp_path_factory.mktemp("runs")
    return gvt.run(
        "text.folder",
        f"data.root={table}",
        "evaluate.final=test",
        f"run.root={root}",
        *small,
        quiet=True,
    )
