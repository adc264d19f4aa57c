"""A run says which plugins took part, and going on says which of them are not what they were."""

import hashlib
import json

import pytest

import gvt
from gvt.device.placement import Placement
from gvt.runs.environment import changes, environment, taking_part
from gvt_registry import API_VERSION, Plugins, Registry

FOLLOWING = """
from gvt_registry import hookimpl

@hookimpl
def gvt_run_started(run): pass
"""
OFFERING = """
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components(): return Component("loss", "{name}", "json:loads")
"""
SMALL = ["data.classes=[5]", "generator.width=8", "discriminator.width=8", "device=cpu"]
CPU = Placement.resolve("cpu")


@pytest.fixture
def plugins(install, tmp_path, monkeypatch):
    """Return plugins: one that follows, one that offers what is used, one whose offer is not."""
    install("gvt-follows", {"follows": "follows_plugin"}, follows_plugin=FOLLOWING)
    for name in ("used", "idle"):
        source = {f"{name}_plugin": OFFERING.format(name=name)}
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **source)
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report,tensorboard")  # which a restriction leaves on
    plugins = Plugins()
    plugins.restrict(["follows", "used", "idle"])
    return plugins


def offers(plugins, *names):
    return [Registry(plugins).find("loss", name) for name in names]


def test_who_offers_or_follows_took_part(plugins):
    found = taking_part(plugins, offers(plugins, "used"))
    identity = {"version": "1.0", "api": API_VERSION}
    assert found == {
        "follows": {"distribution": "gvt-follows", **identity},
        "used": {"distribution": "gvt-used", **identity},
    }


def test_a_file_is_told_by_its_hash(plugins, tmp_path):
    path = tmp_path / "a_file_that_follows.py"
    path.write_text(FOLLOWING)
    plugins.load_file(path)
    assert taking_part(plugins, [])["a_file_that_follows"] == {
        "file": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "api": API_VERSION,
    }


def test_a_restriction_is_written_down(plugins):
    here = environment(CPU, 1, plugins, [])
    assert here["only_plugins"] == ["follows", "used", "idle"]
    assert environment(CPU, 1, Plugins(), [])["only_plugins"] is None
    assert json.loads(json.dumps(here)) == here


def test_what_is_the_same_is_not_mentioned(plugins):
    here = environment(CPU, 1, plugins, offers(plugins, "used"))
    assert changes(here, here) == []


def test_each_plugin_that_changed_is_one_line(plugins):
    now = environment(CPU, 1, plugins, offers(plugins, "used"))
    used = {**now["plugins"]["used"], "version": "0.9"}
    gone = {"distribution": "gvt-gone", "version": "2.0", "api": API_VERSION}
    then = {**now, "plugins": {"used": used, "gone": gone}}
    assert changes(then, now) == [
        "plugin follows: was not there, now gvt-follows 1.0; results may differ",
        "plugin gone: was gvt-gone 2.0, now not there; results may differ",
        "plugin used: was gvt-used 0.9, now gvt-used 1.0; results may differ",
    ]


def test_a_file_that_moved_is_the_same_and_one_that_changed_is_not():
    now = environment(CPU, 1, Plugins(), [])
    one, moved, edited = (
        {**now, "plugins": {"mine": {"file": file, "sha256": letter * 64, "api": 1}}}
        for file, letter in (("a/mine.py", "a"), ("b/mine.py", "a"), ("a/mine.py", "b"))
    )
    assert changes(one, moved) == []
    (line,) = changes(one, edited)
    assert ("a" * 12 in line, "b" * 12 in line) == (True, True)


def test_environments_of_older_runs_can_be_compared():
    now = environment(CPU, 1, Plugins(), [])
    then = {**now, "plugins": dict.fromkeys(now["plugins"], f"gvt {gvt.__version__}")}
    assert changes(then, now) == []
    assert changes({n: v for n, v in now.items() if n != "plugins"}, now) != []


def test_a_run_records_them_and_going_on_warns(tmp_path, capsys, monkeypatch):
    run = gvt.run("gan.mnist", *SMALL, "train.steps=2", f"run.root={tmp_path}", quiet=True)
    written = json.loads((run.folder / "environment.json").read_text())
    assert {"data", "gan"} <= written["plugins"].keys()
    assert {"classify", "backbones", "core"}.isdisjoint(written["plugins"])
    assert written["plugins"]["gan"]["version"] == gvt.__version__

    def of_another_version(plugins, used):
        found = taking_part(plugins, used)
        return found | {"gan": {**found["gan"], "version": "9.9"}}

    monkeypatch.setattr("gvt.runs.environment.taking_part", of_another_version)
    gvt.resume(run.folder, "train.steps=3")
    shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("plugin ")]
    version = gvt.__version__
    assert shown == [f"plugin gan: was gvt {version}, now gvt 9.9; results may differ"]
