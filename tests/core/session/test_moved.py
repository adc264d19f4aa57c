"""Runs whose data moved, or that go on on another machine."""

import json
import os
import shutil

import pytest
from PIL import Image

import gvt
from gvt.checkpoint.document import read_header
from gvt.data import loading
from gvt.errors import ConfigError, DataError, UsageError

RECIPE = {
    "recipe": "${SECRET}",
    "task": {"name": "heads"},
    "data": {
        "name": "image_folder",
        "root": "${PHOTOS}/of/it",
        "size": 8,
        "channels": 1,
        "batch_size": 4,
        "workers": 0,
    },
    "backbone": {"name": "small_cnn", "widths": [4]},
    "heads": {"picture": {"name": "classifier"}},
    "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
    "train": {"steps": 2},
    "device": "cpu",
}


@pytest.fixture(autouse=True)
def _variables(monkeypatch, tmp_path):
    monkeypatch.setenv("PHOTOS", str(tmp_path / "photos"))
    monkeypatch.setenv("SECRET", "s3cr3t")
    monkeypatch.chdir(tmp_path)


def write_photos(folder, count=8):
    for number in range(count):
        path = folder / ("even" if number % 2 == 0 else "odd") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * number).save(path)


@pytest.fixture
def run(tmp_path):
    write_photos(tmp_path / "photos/of/it")
    return gvt.run(RECIPE, f"run.root={tmp_path}/runs", quiet=True)


def test_nothing_that_is_saved_has_the_value_of_a_variable(run, tmp_path):
    document = read_header(run.checkpoint).document
    assert document["config"]["data"]["root"] == "${PHOTOS}/of/it"
    assert document["resolved"]["data"]["root"] == "${PHOTOS}/of/it"
    assert document["recipe"] == "${SECRET}"
    told = json.dumps({**document, "environment": None}) + (run.folder / "config.yaml").read_text()
    assert "s3cr3t" not in told
    assert str(tmp_path / "photos") not in told


def test_a_variable_leads_to_the_data_where_it_is_now(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    monkeypatch.setenv("PHOTOS", str(tmp_path / "elsewhere"))
    assert gvt.resume(run.folder, "train.steps=3", quiet=True).step == 3
    assert gvt.evaluate_checkpoint(run.folder, split="train").metrics.keys() >= {"accuracy"}


def test_without_its_variable_a_checkpoint_predicts_and_says_what_resuming_needs(
    run, tmp_path, monkeypatch
):
    monkeypatch.delenv("PHOTOS")
    picture = tmp_path / "photos/of/it/odd/1.png"
    assert [p.error for p in gvt.predict(run.checkpoint, [picture])] == [""]
    gvt.load(run.checkpoint)
    line = r"^data\.root: the environment variable PHOTOS is not set; .* give data\.root=\.\.\.$"
    with pytest.raises(ConfigError, match=line):
        gvt.resume(run.folder, "train.steps=3", quiet=True)
    with pytest.raises(ConfigError, match=line):
        gvt.evaluate_checkpoint(run.folder, split="train")


def test_a_root_may_be_another_one_with_the_same_data(run, tmp_path, same_tensors):
    first = shutil.copytree(run.folder, tmp_path / "runs/one/copy")
    there = gvt.resume(run.folder, "train.steps=4", quiet=True)
    (tmp_path / "photos").rename(tmp_path / "moved here")
    root = f"data.root={tmp_path}/moved here/of/it"
    moved = gvt.resume(first, "train.steps=4", root, quiet=True)
    same_tensors(there.checkpoint, moved.checkpoint)
    assert gvt.evaluate_checkpoint(moved.folder, split="train").metrics
    # What the run goes on with is what it says from now on.
    assert gvt.resume(moved.folder, "train.steps=5", quiet=True).step == 5


def test_other_data_is_refused(run, tmp_path):
    write_photos(tmp_path / "other", 10)
    with pytest.raises(ConfigError, match="10 samples, and it was 8"):
        gvt.resume(run.folder, "train.steps=4", "data.root=other", quiet=True)
    (tmp_path / "photos/of/it/odd/1.png").rename(tmp_path / "photos/of/it/odd/one.png")
    with pytest.raises(ConfigError, match="its files or samples are other ones"):
        gvt.resume(run.folder, "train.steps=4", quiet=True)


@pytest.mark.parametrize(
    "override",
    [
        "data.size=9",
        "data.labels=a.csv",
        "data={name: image_folder, root: there}",
        "data.root=null",
    ],
)
def test_only_where_the_data_is_may_change(run, override):
    with pytest.raises(
        UsageError, match=r"^data: cannot be changed when a run is resumed|^data.*root"
    ):
        gvt.resume(run.folder, "train.steps=4", override, quiet=True)


def test_a_relative_root_says_how_it_is_found_from_another_folder(tmp_path, monkeypatch):
    write_photos(tmp_path / "photos")
    run = gvt.run(RECIPE, "data.root=photos", f"run.root={tmp_path}/runs", quiet=True)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(DataError, match=r"data\.root is relative to the current folder, .*other; "):
        gvt.resume(run.folder, "train.steps=3", quiet=True)
    assert gvt.resume(run.folder, "train.steps=3", "data.root=../photos", quiet=True).step == 3


def test_a_run_that_was_killed_before_it_saved_goes_on_with_moved_data(run, tmp_path):
    run.checkpoint.unlink()
    (tmp_path / "photos").rename(tmp_path / "moved")
    assert gvt.resume(run.folder, "data.root=moved/of/it", quiet=True).step == 2


def test_weights_that_moved_may_be_named_anew_but_are_not_wanted(tmp_path, monkeypatch):
    write_photos(tmp_path / "photos/of/it")
    first = gvt.run(RECIPE, f"run.root={tmp_path}/runs", quiet=True)
    (tmp_path / "weights").mkdir()
    shutil.copy(first.checkpoint, tmp_path / "weights/first.safetensors")
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "weights"))
    start = "init_from=${WEIGHTS}/first.safetensors"
    run = gvt.run(RECIPE, start, f"run.root={tmp_path}/runs", quiet=True)
    assert read_header(run.checkpoint).document["config"]["init_from"] == start.partition("=")[2]
    monkeypatch.delenv("WEIGHTS")
    assert gvt.resume(run.folder, "train.steps=3", quiet=True).step == 3
    assert gvt.resume(run.folder, "train.steps=4", "init_from=there", quiet=True).step == 4
    with pytest.raises(UsageError, match="init_from: cannot be changed when a run is resumed"):
        gvt.resume(run.folder, "train.steps=5", "init_from=null", quiet=True)


def test_the_latest_run_is_looked_for_where_the_override_says(run, tmp_path, monkeypatch):
    (tmp_path / "my runs #2").mkdir()
    shutil.copytree(tmp_path / "runs", tmp_path / "my runs #2", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setenv("RUNS", str(tmp_path))
    for root in ("my runs #2", '"my runs #2"', "${RUNS}/my runs #2"):
        found = gvt.resume(None, f"run.root={root}", "data.workers=0", quiet=True)
        assert found.folder.is_relative_to("my runs #2") or "${" in root
    with pytest.raises(UsageError, match=r"run\.root: should be a folder, not 5"):
        gvt.resume(None, "run.root=5")


def test_what_a_recipe_asks_of_the_machine_is_bounded(run, monkeypatch):
    most = max(16, 4 * (os.cpu_count() or 1))
    line = rf"10,000 processes are too many for this machine; at most {most}: data.workers={most}$"
    with pytest.raises(ConfigError, match=line):
        gvt.run(RECIPE, "data.workers=10000", quiet=True)
    many = gvt.run(RECIPE, "data.workers=2", "run.root=many", "train.steps=1", quiet=True)
    monkeypatch.setattr(loading, "WORKERS_PER_CORE", 0)
    monkeypatch.setattr(loading, "MOST_WORKERS", 1)
    gvt.load(many.checkpoint)
    with pytest.raises(ConfigError, match=r"at most 1: data\.workers=1$"):
        gvt.resume(many.checkpoint, "train.steps=2", quiet=True)
    fewer = gvt.resume(many.checkpoint, "train.steps=2", "data.workers=0", quiet=True)
    assert fewer.step == 2


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("data.batch_size=1048577", "data.batch_size: should be less than or equal to 1048576"),
        ("evaluate.batch_size=1048577", "less than or equal to 1048576"),
        ("predict.batch_size=1048577", "less than or equal to 1048576"),
        ("predict.tile=16385", "less than or equal to 16384"),
        ("train.accumulate=1048577", "less than or equal to 1048576"),
        ("train.keep=100001", "less than or equal to 100000"),
        ("data.name=" + "x" * 201, "at most 200 characters"),
    ],
)
def test_numbers_have_a_largest_value(override, says):
    with pytest.raises(ConfigError, match=says):
        gvt.compose(RECIPE, [override])


def test_a_size_has_a_largest_value(tmp_path):
    write_photos(tmp_path / "photos/of/it")
    gvt.create("dataset", "image_folder", split="train", root="photos/of/it", size=[16384, 16384])
    with pytest.raises(ConfigError, match="at most 268,435,456 pixels, 16384x16384"):
        gvt.run(RECIPE, "data.size=[16385, 16384]", quiet=True)


def test_a_size_of_scenes_has_a_largest_value():
    with pytest.raises(ConfigError, match=r"size: should be less than or equal to 16384"):
        gvt.create("dataset", "scenes", split="train", size=1_000_000)
