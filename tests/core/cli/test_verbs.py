"""`gvt eval`, and all commands on all recipes."""

import itertools
import json
import os
import shutil
from pathlib import Path

import click
import pytest
from PIL import Image

from gvt.cli.main import cli
from gvt.config import text
from gvt.config.compose import recipe_text
from gvt_registry import default_registry

pytestmark = pytest.mark.usefixtures("drawn")


def test_eval_prints_all_metrics(runs, call):
    place, classifier, _ = runs
    done = call("eval", classifier, "--split", "val", cwd=place)
    assert (done.returncode, done.stderr) == (0, f"written to {classifier / 'evaluation'}\n")
    named = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    assert named.keys() == {"accuracy", "f1", "precision", "recall", "loss/cross_entropy"}
    assert 0 < named["accuracy"] < 1


def test_eval_takes_the_latest_run_and_overrides(runs, call):
    place, _, _ = runs
    done = call("eval", "evaluate.batch_size=100", "--split", "test", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "loss/generator" in done.stdout


@pytest.mark.slow
def test_eval_prints_where_the_metrics_are_written(runs, call):
    place, classifier, gan = runs
    own = classifier / "evaluation" / "val.json"
    done = call("eval", classifier, "--split", "val", cwd=place)
    before, drawn = own.read_bytes(), (classifier / "report.html").read_bytes()
    words = ("eval", classifier, "data.holdout=400", "--split", "val")
    done = call(*words, cwd=place)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)
    assert done.stderr == (
        "only printed, since the run's own has no override of data.holdout; -o FOLDER saves it\n"
    )
    done = call(*words, "-o", "kept", cwd=place)
    assert (done.returncode, done.stderr) == (0, "written to kept\n")
    names = {p.name for p in (place / "kept").iterdir()}
    assert names == {"val.json", "val_confusion.png", "val_mistakes.png"}
    assert json.loads((place / "kept" / "val.json").read_text())["overrides"] == [words[2]]
    assert (own.read_bytes(), (classifier / "report.html").read_bytes()) == (before, drawn)
    done = call("eval", gan, "--split", "test", "evaluate.batch_size=1000", cwd=place)
    assert done.stderr == f"written to {gan / 'evaluation'}\n"
    report = (gan / "report.html").read_text(encoding="utf-8")
    assert f"<td>{float(done.stdout.split()[1]):.5g}</td>" in report  # nothing else evaluated it


def test_metrics_are_printed_if_they_cannot_be_written(runs, call, tmp_path):
    _, classifier, _ = runs
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "val.json").mkdir()  # root writes wherever it likes, but not over this
    (tmp_path / "full" / "val.json" / "inside").touch()
    done = call("eval", classifier, "--split", "val", "-o", "full", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("accuracy")
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: full/val.json: not written: ")
    assert error == "error: full: the metrics were printed, but could not be written there"


def pictures_in(folder, count=6, size=(40, 30)):
    """Write distinct images into two class folders."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number * 20, 90, 200)).save(path)
    return folder


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("eval", "nowhere"), 1, "nowhere"),
        (("eval", "--split", "valid"), 2, "--split (split=... in Python): mnist has no split"),
        (("eval", "train.steps=9", "--split", "test"), 2, "train: the networks are those"),
        (("eval", "-o", "runs/no/kept"), 2, "'-o' / '--out': Folder 'runs/no' does not exist"),
        (("eval", "-o", "a.txt"), 2, "'-o' / '--out': Directory 'a.txt' is a file"),
    ],
)
def test_an_error_is_one_line(runs, words, code, said, call):
    (runs[0] / "a.txt").touch()
    before = {path: path.stat().st_mtime_ns for path in runs[0].rglob("*")}
    done = call(*words, cwd=runs[0])
    assert {path: path.stat().st_mtime_ns for path in runs[0].rglob("*")} == before
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


RECIPES = [
    offer.component.name
    for offer in default_registry().offers("recipe")
    if offer.distribution == "gvt"
]
"""All recipes of our own plugins."""


OF_CELLS = ("detect.bccd", "detect.bccd_fast")
"""Recipes on BCCD."""

LEFT_OUT = {
    "train": "Annotations/BloodImage_00343.xml: object 4 (RBC)",
    "val": "Annotations/BloodImage_00338.xml: object 13 (RBC)",
}
"""The box without area of BCCD's splits that have one."""

BCCD = {
    "train": ["BloodImage_00343", *(f"BloodImage_{n:05}" for n in (1, 2, 3, 6, 9, 10, 11))],
    "val": ["BloodImage_00338", *(f"BloodImage_{n:05}" for n in (4, 8, 15))],
    "test": [f"BloodImage_{n:05}" for n in (0, 7, 16, 17)],
}


def little_cells(whole, folder):
    """Copy some pictures of BCCD with both of its bad boxes, and return the folder."""
    lists = folder / "ImageSets" / "Main"
    for path in (lists, folder / "JPEGImages", folder / "Annotations"):
        path.mkdir(parents=True)
    for split, names in BCCD.items():
        (lists / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            for file in (f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml"):
                shutil.copy(whole / file, folder / file)
    return folder


def warned(recipe, split):
    """Return the warnings for opening a split: about bad data, if it has any."""
    box = LEFT_OUT.get(split) if recipe in OF_CELLS else None
    return f"warning: split {split}: left out: 1 box without area: {box}\n" if box else ""


def little_data(recipe, folder):
    """Return overrides that give a recipe a few samples of each split."""
    (folder / "example").mkdir()
    given = text.parse_yaml(recipe_text(recipe), recipe)["data"]
    name = given["name"]
    target = default_registry().find("dataset", name).load()
    if name == "mnist":
        classes = "[5]" if recipe.startswith("gan.") else "[5, 8]"
        return [f"data.classes={classes}", "data.holdout=30", "evaluate.final=val"]
    if name == "scenes":
        return ["data.count=12", "data.held_out=4"]
    if name in ("image_folder", "text_folder"):
        root = texts_in(folder) if name == "text_folder" else pictures_in(folder / "photos", 12)
        return [f"data.root={root}", "data.val=0.4"]
    if "${GVT_DATA}" in recipe_text(recipe):
        if "GVT_DATA" not in os.environ:
            pytest.skip("GVT_DATA, the real data, is not set")
        if recipe in OF_CELLS:
            whole = Path(os.environ["GVT_DATA"]) / "bccd" / "BCCD"
            return [f"data.root={little_cells(whole, folder / 'BCCD')}", "data.size=[120, 160]"]
        return ["data.val=[29]"]  # one whole image
    example = target.gvt_example(folder / "example")
    return [f"data.{n}={json.dumps(value)}" for n, value in example.items() if n not in given]


def texts_in(folder):
    """Write a few texts of two classes for training and for testing; return their folder."""
    folder /= "texts"
    for split, name in itertools.product(("train", "test"), ("neg", "pos")):
        (folder / split / name).mkdir(parents=True)
        for number in range(6):
            (folder / split / name / f"{number}.txt").write_text(f"a {name} text, number {number}")
    return folder


@pytest.mark.slow_for_most_recipes
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_verb_works_on_every_recipe(recipe, call, tmp_path):
    """With little data and two steps each."""
    small = ["data.batch_size=2", "device=cpu", *little_data(recipe, tmp_path)]
    steps = ("train.steps=2", "train.pictures_every=null")
    assert call("run", recipe, *small, *steps, cwd=tmp_path).returncode == 0
    (run,) = (tmp_path / "runs" / recipe).iterdir()
    done = call("eval", "--split", "val", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        0,
        f"{warned(recipe, 'val')}written to runs/{recipe}/{run.name}/evaluation\n",
    )
    assert "loss/" in done.stdout
    generates = recipe.startswith("gan.")
    assert call("sample", "-n", "4", cwd=tmp_path).returncode == (0 if generates else 2)
    assert (tmp_path / "samples.png").exists() is generates
    for words, said in (
        (("report",), ""),
        (("data", "show", recipe, *small), warned(recipe, "train")),
        (("data", "check", recipe, *small), ""),
    ):
        done = call(*words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, said)
    boxes = LEFT_OUT if recipe in OF_CELLS else {}
    bad = [f"{split}: box without area: {box}" for split, box in boxes.items()]
    assert [line for line in done.stdout.splitlines() if " without area: " in line] == bad
    assert (tmp_path / ("data.txt" if recipe.startswith("text.") else "data.png")).exists()


def commands_of(group, *path):
    """Yield every command with its path."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands_of(command, *path, name)


def test_help_is_narrow_and_describes_every_option(call, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    paths = [(), *commands_of(cli)]
    assert ("data", "check") in paths
    for path in paths:
        done = call(*path, "--help", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert all(len(line) < 80 for line in lines)
        options = lines[lines.index("Options:") + 1 :]
        named = [n for n, line in enumerate(options) if line.startswith("  -")]
        for number in named:  # its help stands beside it, or below
            beside = options[number].strip().split("  ", 1)[1:]
            assert beside or options[number + 1].startswith("   "), options[number]
            assert not (beside and beside[0].strip().startswith("["))
