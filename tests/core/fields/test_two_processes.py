"""Two processes train tasks on sounds, clips, pairs of images and noise, and save checkpoints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gvt

HERE = Path(__file__).parent
PLUGINS = ("waves.py", "clips.py", "noise.py")
RECIPES = ("coder", "predictor", "denoise")
PAIRS = HERE.parent / "session" / "two_domains.py"
SHOWN = {
    "coder": {".wav", ".png", ".txt"},
    "predictor": {".gif"},
    "denoise": {".png"},
    "cycle.networks": {".png"},
}

PROGRAM = f"""
import sys
from pathlib import Path

import gvt
from gvt_registry import default_registry

here = Path({str(HERE)!r})
for file in (*(here / name for name in {PLUGINS!r}), {str(PAIRS)!r}):
    default_registry().plugins.load_file(file)
for recipe in (*(str(here / f"{{name}}.yaml") for name in {RECIPES!r}), "cycle.networks"):
    gvt.run(recipe, "device=cpu", "train.steps=2", f"run.root={{sys.argv[1]}}", quiet=True)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folders of the runs of two processes, by recipe."""
    folder = tmp_path_factory.mktemp("two")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    done = subprocess.run(
        [*launch, str(program), str(folder / "runs")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path.parent.name: path for path in (folder / "runs").glob("*/*")}


@pytest.mark.slow
def test_what_two_processes_saved_is_loaded_shown_and_resumed(runs, load, tmp_path):
    for name in (*PLUGINS, PAIRS):
        load(name)
    assert runs.keys() == SHOWN.keys()
    for recipe, folder in runs.items():
        environment = json.loads((folder / "environment.json").read_text())
        assert environment["processes"] == 2
        suffixes = {path.suffix for path in (folder / "samples").iterdir()}
        assert suffixes == SHOWN[recipe], recipe
        before = gvt.load(folder).state_dict()
        run = gvt.resume(folder, "train.steps=3", quiet=True)
        assert any(key.startswith("val/loss/") for key in run.metrics)
        after = run.task.state_dict()
        assert any(not torch.equal(before[name], after[name]) for name in before)
