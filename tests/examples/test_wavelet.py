"""The third-party distribution: built as a wheel, installed elsewhere, used, and its own tests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SOURCE = Path(__file__).parents[2] / "examples" / "gvt-wavelet"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return what runs Python modules in a folder elsewhere, with the wheel installed."""
    folder = tmp_path_factory.mktemp("wavelet")
    source = folder / "source"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__", "dist", "runs"))
    environment = os.environ | {"PYTHONPATH": str(folder / "site"), "GVT_BLOCK_PLUGINS": ""}

    def run(*command, cwd=folder, **variables):
        done = subprocess.run(
            [sys.executable, "-m", *map(str, command)],
            cwd=cwd,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (wheel,) = folder.glob("*.whl")
    run("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder / "site", wheel)
    shutil.rmtree(source / "gvt_wavelet")  # what is tested is the wheel
    run.folder, run.source = folder, source
    return run


def test_it_is_listed(run):
    listed = run("gvt", "list")
    lines = [line.split()[0] for line in listed.splitlines() if "gvt-wavelet 0.1.0" in line]
    names = ["wavelet.classify", "wavelet.textures", "textures", "wavelet", "wavelet_energy"]
    assert sorted(lines) == sorted(names)


@pytest.mark.slow
def test_its_recipe_runs_and_its_hook_follows(run):
    run("gvt", "run", "wavelet.textures", "train.steps=3", "device=cpu")
    (notes,) = run.folder.glob("runs/wavelet.textures/*/wavelet.jsonl")
    assert len(notes.read_text(encoding="utf-8").splitlines()) == 2  # the first step and the last


@pytest.mark.slow
def test_its_command_is_there(run):
    Image.linear_gradient("L").save(run.folder / "photo.png")
    assert run("gvt", "wavelet", "photo.png", "--levels", 3).strip() == "photo_wavelet.png"
    with Image.open(run.folder / "photo_wavelet.png") as sheet:
        assert sheet.size == (256, 256)


@pytest.mark.slow
def test_its_own_tests_pass(run):
    command = ("pytest", "-q", "-p", "no:cacheprovider", "tests")
    done = run(*command, cwd=run.source, GVT_BLOCK_PLUGINS="report,tensorboard")
    assert " passed" in done


def test_its_modules_are_short():
    sizes = {p.name: len(p.read_text("utf-8").splitlines()) for p in SOURCE.rglob("*.py")}
    assert sizes["head.py"] < 70
    assert max(size for name, size in sizes.items() if not name.startswith("test_")) < 80
