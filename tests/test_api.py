"""The public API is what docs/api.md lists, and it does not change without being said."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import griffe
import pytest
from packaging.version import Version

import gvt
import gvt_registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMAND = "python docs/make_api.py"

sys.path.append(str(DOCS))
import api_changes
import api_names
import make_api

sys.path.remove(str(DOCS))

SILENT = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n- `scale`, `size`, `Net`, `gvt_ended`\n"


@pytest.fixture(scope="module")
def now():
    names = api_names.public_names(make_api.SOURCES, ROOT)
    return names, api_names.api_version(make_api.SOURCES)


def test_the_page_is_what_the_code_says(now):
    page = make_api.PAGE.read_text(encoding="utf-8")
    assert page == make_api.page(*now), f"docs/api.md is out of date; make it anew: {COMMAND}"


def test_the_page_has_every_name_and_every_link_on_it_leads_somewhere(now):
    page = make_api.page(*now)
    shown = {name.path for name in now[0] if not name.owner}
    assert {f"gvt.{name}" for name in gvt.__all__} - shown == {"gvt.__version__"}
    assert {f"gvt_registry.{name}" for name in gvt_registry.__all__} <= shown
    assert {n for n in vars(gvt_registry.hookspecs) if n.startswith("gvt_")} <= shown
    anchors = re.findall(r'<a id="([^"]+)">', page)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) == set(anchors)


def submodules(now):
    """Return the public submodules of `gvt` with their names."""
    names = {}
    for name in now[0]:
        module, _, short = name.path.rpartition(".")
        if not name.owner and module.startswith("gvt.") and module != "gvt.testing":
            names.setdefault(module, []).append(short)
    return names


def test_every_public_name_of_a_submodule_can_be_imported(now):
    for module, names in submodules(now).items():
        for name in names:
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_the_contract_for_plugins_forbids_all_but_the_public_submodules(now):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (c for c in settings["contracts"] if "public names" in c["name"])
    assert set(contract["source_modules"]) == {*settings["root_packages"]} - {"gvt", "gvt_registry"}
    modules = {name for _, name, _ in pkgutil.walk_packages(gvt.__path__, "gvt.")}
    forbidden = {
        m for m in modules for f in contract["forbidden_modules"] if fnmatch.fnmatchcase(m, f)
    }
    assert modules - forbidden == {*submodules(now), "gvt.__main__", "gvt.vision"}


def test_what_changed_since_the_last_record_is_announced(now):
    recorded = api_changes.Snapshot.read(make_api.SNAPSHOT)
    changelog = make_api.CHANGELOG.read_text(encoding="utf-8")
    found = api_changes.unannounced(recorded, make_api.snapshot(*now), changelog)
    assert not found, "\n".join(found)


# --- on a small package -----------------------------------------------------------------------

BEFORE = {
    "gvt/__init__.py": """
        __all__ = []
        """,
    "gvt/__init__.pyi": """
        from .components import Component as Component
        from .nets import Net as Net, Settings as Settings, scale as scale
        """,
    "gvt/components.py": """
        from gvt_registry import Component
        __all__ = ["Component"]
        """,
    "gvt/drawing/__init__.py": "",
    "gvt/drawing/__init__.pyi": """
        from .lines import line as line
        """,
    "gvt/drawing/lines.py": """
        from gvt.nets import Net
        def line(start, end): "Draw a line."
        """,
    "gvt/screen.py": """
        __all__ = ["clear"]
        def clear(): ...
        def hidden(): ...
        """,
    "gvt/nets.py": """
        from pydantic import BaseModel
        def scale(images, by=2, *, mode="crop"): "Scale them."
        class Net:
            "A net."
            size: int = 3
            def __init__(self, width, depth=1): ...
            def forward(self, images): ...
            def _hidden(self): ...
        class Settings(BaseModel):
            steps: int = 10
            name: str
        """,
    "gvt_author/__init__.py": "",
    "gvt_author/testing.py": """
        __all__ = ["report"]
        def report(plugin): ...
        """,
    "gvt_registry/__init__.py": """
        from gvt_registry.hookspecs import API_VERSION, Component
        __all__ = ["API_VERSION", "Component"]
        """,
    "gvt_registry/hookspecs.py": """
        API_VERSION = 1
        class Component: ...
        def gvt_started(run): "Called at first."
        def gvt_ended(run, outcome): "Called at last."
        """,
}


def written(folder, replaced=()):
    """Return the snapshot of the small package, with some of its text replaced."""
    for path, source in BEFORE.items():
        text = dedent(source)
        for old, new in replaced:
            text = text.replace(old, new)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    names = api_names.public_names([folder], folder)
    return make_api.snapshot(names, api_names.api_version([folder]))


def test_a_snapshot_has_names_kinds_and_defaults_of_all_that_is_public(tmp_path):
    snapshot = written(tmp_path)
    assert snapshot.version == 1
    assert dict(snapshot.names) == {
        "gvt.Component": "()",
        "gvt.Net": "(width, depth=1)",
        "gvt.Net.size": "= 3",
        "gvt.Net.forward": "(images)",
        "gvt.Settings": "(*, name, steps=10)",
        "gvt.drawing.line": "(start, end)",
        "gvt.scale": "(images, by=2, *, mode='crop')",
        "gvt.screen.clear": "()",
        "gvt_author.testing.report": "(plugin)",
        "gvt_registry.API_VERSION": "= 1",
        "gvt_registry.Component": "()",
        "gvt_started": "(run)",
        "gvt_ended": "(run, outcome)",
    }


BREAKING = {
    "a removed parameter": ("(images, by=2,", "(images,", "gvt.scale(by): parameter was removed"),
    "a renamed function": ("scale", "resize", "gvt.scale: was removed"),
    "a changed default": ("by=2", "by=3", "gvt.scale(by): parameter default was changed"),
    "another kind": ("by=2, *,", "*, by=2,", "gvt.scale(by): parameter kind was changed"),
    "a new required parameter": (
        "(images, by=2",
        "(images, to, by=2",
        "gvt.scale(to): parameter was added as required",
    ),
    "of a constructor": ("width, depth=1", "width", "gvt.Net(depth): parameter was removed"),
    "of a model": ("steps: int = 10", "steps: int = 9", "gvt.Settings(steps): parameter default"),
    "a removed method": ("def forward", "def _forward", "gvt.Net.forward: was removed"),
    "a class's value": ("size: int = 3", "size: int = 4", "gvt.Net.size: was `= 3`, is `= 4`"),
    "a removed hook": ("def gvt_ended", "def _ended", "gvt_ended: was removed"),
    "of a hook": ("outcome)", "result)", "gvt_ended(outcome): parameter was removed"),
}


@pytest.mark.parametrize(("old", "new", "told"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_is_told_until_changelog_and_version_say_so(tmp_path, old, new, told):
    before = written(tmp_path / "before")
    found = api_changes.unannounced(before, written(tmp_path / "now", [(old, new)]), SILENT)
    assert [line for line in found if line.startswith(told) and "CHANGELOG.md" in line]
    assert [line for line in found if line.startswith(told) and "API_VERSION" in line]

    after = written(tmp_path / "after", [(old, new), ("API_VERSION = 1", "API_VERSION = 2")])
    words = {word for change in api_changes.changes(before, after) for word in change.words}
    said = SILENT.replace("[Unreleased]\n", f"[Unreleased]\n\n- {' '.join(sorted(words))}\n")
    assert not api_changes.unannounced(before, after, said)
    assert api_changes.unannounced(before, after, SILENT)  # an older version's words do not count


def test_what_is_new_needs_the_changelog_alone(tmp_path):
    before = written(tmp_path / "before")
    now = written(tmp_path / "now", [("by=2,", "by=2, fit=None,"), ("_hidden", "shown")])
    found = api_changes.unannounced(before, now, SILENT)
    assert [line.partition(";")[0] for line in found] == [
        "gvt.scale(fit): parameter is new",
        "gvt.Net.shown: is new",
    ]
    said = "## [Unreleased]\n- `scale` takes `fit`.\n- `Net.shown` is there.\n"
    assert not api_changes.unannounced(before, now, said)


def test_a_tuple_that_has_grown_breaks_nothing_and_one_that_shrank_does():
    def found(before, now):
        snapshots = [api_changes.Snapshot(1, {"gvt_registry.KINDS": v}) for v in (before, now)]
        return [change.breaks for change in api_changes.changes(*snapshots)]

    assert found("= ('head', 'task')", "= ('head', 'loss', 'task')") == [False]
    assert found("= ('head', 'task')", "= ('head',)") == [True]


def test_nothing_changed_is_nothing_to_say(tmp_path):
    one, other = written(tmp_path / "one"), written(tmp_path / "other", [("_hidden", "_secret")])
    assert not api_changes.changes(one, other)


def test_recording_is_refused_while_something_is_not_said(tmp_path):
    for folder in ("docs", "registry", "core", "plugins/gvt_author"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "CHANGELOG.md").write_text(SILENT)

    def record():
        command = [sys.executable, tmp_path / "docs" / "make_api.py", "--record"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    snapshot = tmp_path / "docs" / "api.json"
    snapshot.unlink()
    first = record()
    assert first.returncode == 0, first.stderr
    recorded = snapshot.read_bytes()
    api = tmp_path / "core" / "gvt" / "session" / "api.py"
    api.write_text(api.read_text("utf-8").replace("def run(recipe:", "def run(what:"))
    refused = record()
    assert refused.returncode == 1
    assert "gvt.run(recipe): parameter was removed" in refused.stderr
    assert snapshot.read_bytes() == recorded


# --- what is to go ----------------------------------------------------------------------------


def overdue(sources, packages, version):
    """Return what is marked by `gvt.deprecation.deprecated` and should be gone by a version."""

    def walk(thing):
        for member in thing.members.values():
            if member.is_alias or member.is_attribute:
                continue
            for mark in getattr(member, "decorators", ()):
                gone = re.search(r"gone='([\d.]+)'", str(mark.value))
                if gone and Version(gone[1]) <= Version(version):
                    yield f"{member.path} should be gone since {gone[1]}"
            yield from walk(member)

    loader = griffe.GriffeLoader(search_paths=sources)
    return [line for package in packages for line in walk(loader.load(package))]


def test_nothing_deprecated_is_overdue():
    sources = make_api.SOURCES
    packages = [path.parent.name for s in sources for path in s.glob("*/__init__.py")]
    assert len(packages) >= 7
    assert not overdue(sources, packages, importlib.metadata.version("gvt"))


def test_what_is_overdue_is_found(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "__init__.py").write_text(
        "from gvt.deprecation import deprecated\n"
        "class Net:\n"
        '    @deprecated(replacement="new", since="0.2", gone="0.3")\n'
        "    def old(self): ...\n"
    )
    assert not overdue([tmp_path], ["old"], "0.2.7")
    assert overdue([tmp_path], ["old"], "0.3.0") == ["old.Net.old should be gone since 0.3"]
