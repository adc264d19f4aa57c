"""What a run leaves on disk."""

import json
import os
import re
import sys

import pytest
import torch

import gvt
from gvt.config.text import parse_yaml
from gvt.runs.folder import RunFolder
from gvt_report.log import read_log

SMALL = ["data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return gvt.run(
        "gan.mnist",
        *SMALL,
        "train.steps=6",
        "train.pictures_every=2",
        f"run.root={root}",
        quiet=True,
    )


def rows(folder):
    return [json.loads(r) for r in (folder / "metrics.jsonl").read_text().splitlines()]


def test_everything_that_was_promised_is_there(run):
    paths = {p.relative_to(run.folder) for p in run.folder.rglob("*") if p.is_file()}
    names = {p.as_posix() for p in paths}
    promised = {"checkpoints/last.safetensors", "config.yaml", "environment.json", "metrics.jsonl"}
    assert names >= promised | {".lock"}


def test_the_configuration_is_resolved_and_gives_the_same_run(run, same_tensors, tmp_path):
    resolved = parse_yaml((run.folder / "config.yaml").read_text(), "config.yaml")
    assert resolved.pop("predict")["tile"] == "auto"  # which depends on the picture predicted
    assert "auto" not in json.dumps(resolved)
    again = gvt.run(run.folder / "config.yaml", f"run.root={tmp_path}", quiet=True)
    assert again.folder.parent == tmp_path / "gan.mnist"
    same_tensors(run.checkpoint, again.checkpoint)


def test_the_environment_says_what_results_depend_on(run):
    environment = json.loads((run.folder / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert environment["threads"] == torch.get_num_threads()
    assert environment["device"].startswith("cpu")
    assert "gan" in environment["plugins"]


def test_every_step_has_a_line_with_its_losses(run):
    *found, end = rows(run.folder)
    assert [r["step"] for r in found] == list(range(1, 7))
    assert (end["event"], end["step"], end["total_steps"]) == ("ended", 6, 6)
    assert (end["outcome"], end["error"]) == ("success", None)
    assert str(run.folder) in end["resume"]
    losses = {"train/discriminator/real", "train/discriminator/fake", "train/generator"}
    assert all(losses <= r.keys() for r in found)


def test_a_resumed_run_counts_no_step_twice(tmp_path):
    run = gvt.run(
        *("gan.mnist", *SMALL, "train.steps=6", "train.checkpoint_every=3", "train.keep=5"),
        f"run.root={tmp_path}",
        quiet=True,
    )
    gvt.resume(run.folder / "checkpoints" / "step_00000003.safetensors", quiet=True)
    found = rows(run.folder)
    assert [r["step"] for r in found] == [1, 2, 3, 4, 5, 6, 6, 3, 4, 5, 6, 6]
    assert [r.get("event") for r in found[6:8]] == ["ended", "resumed"]
    assert found[7] == {"event": "resumed", "step": 3}
    for name, points in read_log(run.folder / "metrics.jsonl").curves.items():
        if not name.startswith("lr/"):  # which come with every reading alone
            assert [step for step, _ in points] == list(range(1, 7))


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "train/a": 0.5}\n{"step": 2, "tra')
    assert read_log(file).curves == {"train/a": [(1, 0.5)]}


def test_after_a_line_cut_off_the_resumed_run_begins_a_new_one(tmp_path):
    run = gvt.run(
        *("gan.mnist", *SMALL, "train.steps=4", "train.checkpoint_every=2", "train.keep=5"),
        f"run.root={tmp_path}",
        quiet=True,
    )
    metrics = run.folder / "metrics.jsonl"
    steps = metrics.read_text().splitlines()[:4]
    metrics.write_text("\n".join(steps)[:-20])
    gvt.resume(run.folder / "checkpoints" / "step_00000002.safetensors", quiet=True)
    lines = metrics.read_text().splitlines()
    assert json.loads(lines[4]) == {"event": "resumed", "step": 2}
    assert [step for step, _ in read_log(metrics).curves["train/generator"]] == [1, 2, 3, 4]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_files_are_for_everybody_whom_the_umask_lets_read(run):
    plain = (run.folder / "metrics.jsonl").stat().st_mode
    for file in (run.checkpoint, run.folder / "config.yaml", run.folder / "environment.json"):
        assert file.stat().st_mode == plain


def test_two_runs_of_one_second_have_two_folders(tmp_path):
    folders = [RunFolder.create(tmp_path, "gan.mnist").path for _ in range(5)]
    assert len(set(folders)) == 5
    assert all(re.fullmatch(r"[\w.-]+", folder.name) for folder in folders)


@pytest.mark.parametrize(
    ("recipe", "name"),
    [("a:b/c?", "a_b_c_"), ("con", "_con"), ("...", "run"), ("COM1.x", "_COM1.x")],
)
def test_names_are_valid_on_windows(tmp_path, recipe, name):
    assert RunFolder.create(tmp_path, recipe).path.parent.name == name


def test_the_latest_run_is_the_last_started_or_resumed(tmp_path):
    with pytest.raises(gvt.UsageError, match="no run under"):
        RunFolder.latest(tmp_path)
    first, second = (RunFolder.create(tmp_path, recipe) for recipe in ("a", "b"))
    for folder in (second, first):
        folder.describe({}, {})
    assert RunFolder.latest(tmp_path).path == first.path


def test_killed_before_its_first_checkpoint_it_begins_again(tmp_path, same_tensors):
    run = gvt.run("gan.mnist", *SMALL, "train.steps=2", f"run.root={tmp_path}", quiet=True)
    kept = run.checkpoint.rename(tmp_path / "kept.safetensors")
    again = gvt.resume(run.folder, quiet=True)
    same_tensors(kept, again.checkpoint)


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights there")
@pytest.mark.parametrize("name", ["checkpoints", "samples", "evaluation"])
def test_a_run_does_not_write_through_a_link(tmp_path, name):
    run = RunFolder.create(tmp_path, "r")
    run.check_links()
    (tmp_path / "outside").mkdir()
    (run.path / name).symlink_to(tmp_path / "outside")
    with pytest.raises(gvt.UsageError, match=rf"{name}: is a symbolic link"):
        run.check_links()


@pytest.mark.skipif(sys.platform == "win32", reason="links need special rights there")
def test_what_describes_a_run_replaces_links(tmp_path):
    run = RunFolder.create(tmp_path, "r")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in ("config.yaml", ".unfinished.config.yaml", "environment.json"):
        (run.path / name).symlink_to(outside)
    run.describe({"a": 1}, {"b": 2})
    assert outside.read_text() == "mine"
    assert sorted(p.name for p in run.path.iterdir()) == ["config.yaml", "environment.json"]


def test_folders_of_a_new_run_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("gvt.files.sync_folder", synced.append)
    monkeypatch.setattr("gvt.runs.folder.sync_folder", synced.append)
    run = RunFolder.create(tmp_path / "runs", "r")
    assert synced == [tmp_path, tmp_path / "runs", run.path.parent]
