"""What several tests share."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

# The tests' networks are small, and several processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from safetensors.torch import load_file

import gvt
from gvt.cli.main import main

QUICK_RECIPES = {
    *("gan.mnist", "classify.mnist", "classify.folder", "segment.folder", "detect.scenes_yolo"),
}
"""Those that are trained in the fast part by the tests of all recipes."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    """Leave what trains other recipes to the slow part."""
    for item in items:
        if item.get_closest_marker("slow_for_most_recipes"):
            parameters = item.callspec.params
            component = getattr(parameters.get("check"), "component", None)
            kind, _, recipe = (component or f"recipe:{parameters['recipe']}").partition(":")
            if kind == "recipe" and recipe not in QUICK_RECIPES:
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def _own_path(monkeypatch):
    """Forget the folders of the plugin files that a test loaded."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_developer(tmp_path_factory):
    """Keep a settings file of whoever runs the tests out of them, and of their subprocesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture
def same_tensors():
    """Return a check that two checkpoints hold the same bits under the same names."""

    def check(one: Path, other: Path) -> None:
        first, second = load_file(one), load_file(other)
        assert first.keys() == second.keys()
        different = [n for n in first if not torch.equal(first[n], second[n])]
        assert not different

    return check


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return what installs a distribution for real, here and in subprocesses, for one test."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    before = set(sys.modules)

    def add(name: str, entry_points: dict[str, str], **modules: str) -> Path:
        for module, source in modules.items():
            (site / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = "".join(f"{point} = {target}\n" for point, target in entry_points.items())
        (info / "entry_points.txt").write_text(f"[gvt]\n{points}")
        importlib.invalidate_caches()
        return site

    yield add
    for module in set(sys.modules) - before:
        if str(site) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a working folder with a classifier's run and, as the latest, a GAN's."""
    place = tmp_path_factory.mktemp("place")
    root = f"run.root={place / 'runs'}"
    classifier = gvt.run("classify.mnist", "train.steps=2", "data.holdout=500", root, quiet=True)
    fives = ("data.classes=[5]", "generator.width=8", "discriminator.width=8")
    gan = gvt.run("gan.mnist", "train.steps=2", *fives, root, quiet=True)
    return place, classifier.folder, gan.folder


@pytest.fixture
def call(monkeypatch, capfd):
    """Return what runs gvt in this process, in a folder."""

    def run(*words, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["gvt", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=out, stderr=err)

    return run
