"""What several tests share."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

# The tests' networks are small, and several processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from safetensors.torch import load_file

import gvt
import gvt.fields
from gvt.cli.main import main
from gvt_registry import default_registry
from gvt_registry.plugins import RUN_HOOKS

QUICK_RECIPES = {
    *("gan.mnist", "classify.mnist", "classify.folder", "segment.folder", "detect.scenes_yolo"),
}
"""Those that are trained in the fast part by the tests of all recipes."""

DRAWING_HOOKS = {*RUN_HOOKS, "gvt_checkpoint_evaluated"}
"""Hooks by which plugins draw runs and their evaluations."""


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute tests as `--dist worksteal` does, unless another way was chosen.

    Tests of a module stay together, so that few workers build its fixtures, and no worker ends
    minutes after the others.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@contextmanager
def _own_plugin_files():
    """Remove the plugin files that are loaded inside, such as by `gvt --plugin` in this process."""
    registry = default_registry()
    plugins = registry.plugins
    before = {id(plugin) for plugin in plugins._plugins}
    yield
    for plugin in [p for p in plugins._plugins if p.path and id(p) not in before]:
        plugins._plugins.remove(plugin)
        plugins._manager.unregister(name=plugin.name)
        registry._collected.pop(plugin.name, None)
        sys.modules.pop(plugin.name, None)
        gvt.fields._field_of.cache_clear()


@pytest.fixture(autouse=True)
def _plugin_files_of_a_test():
    with _own_plugin_files():
        yield


@pytest.fixture(scope="module")
def load_plugin():
    """Return a function that loads a plugin file.

    One that a fixture of the module loads is removed after the module, and one that a test loads
    after the test.
    """
    with _own_plugin_files():
        yield default_registry().plugins.load_file


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


@pytest.fixture(autouse=True, scope="session")
def _drawing_plugins():
    """Turn off plots, reports and TensorBoard files, which take longer than a run of a few steps.

    It does not affect subprocesses.
    """
    plugins = [p for p in default_registry().plugins if p.name in ("report", "tensorboard")]
    for plugin in plugins:
        plugin.muted |= DRAWING_HOOKS
    return plugins


@pytest.fixture(scope="module")
def drawn(_drawing_plugins):
    """Draw the runs of a module as usual; for `pytestmark = pytest.mark.usefixtures("drawn")`."""
    for plugin in _drawing_plugins:
        plugin.muted -= DRAWING_HOOKS
    yield
    for plugin in _drawing_plugins:
        plugin.muted |= DRAWING_HOOKS


@pytest.fixture
def undrawn_processes(monkeypatch):
    """Turn off the drawing plugins in the processes that a test starts, too."""
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report,tensorboard")


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
