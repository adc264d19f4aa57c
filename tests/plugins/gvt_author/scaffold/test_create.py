"""`gvt plugin new`: generated plugins pass their tests, and errors are one line."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from pathlib import Path

import pytest

from gvt import UsageError
from gvt_author.scaffold import KINDS, create
from gvt_registry import KINDS as COMPONENT_KINDS

ROOT = Path(__file__).parents[4]

DATA = {"dataset": "shapes", "weighting": "scenes"}
"""The data of the recipes of some kinds; for the others it is mnist."""

# Run in an interpreter of its own, once for all kinds, since importing torch takes seconds.
ALL_TESTS = """
import contextlib, io, json, os, sys
import pytest

found = {}
for folder in sys.argv[1:]:
    os.chdir(folder)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main(["-rA", "-p", "no:cacheprovider"])
    found[os.path.basename(folder)] = (int(code), output.getvalue())
    for name in [n for n in sys.modules if n.split(".")[0] == "tests"]:
        del sys.modules[name]
print(json.dumps(found))
"""


def run(*command, cwd, **environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def install_all(distributions, site):
    """Do what pip does for an editable install, and return the paths that Python has to search."""
    for folder in distributions:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        stem = f"{project['name'].replace('-', '_')}-{project['version']}"
        info = site / f"{stem}.dist-info"
        info.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        points = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["gvt"].items())
        (info / "entry_points.txt").write_text(f"[gvt]\n{points}", encoding="utf-8")
    return os.pathsep.join(map(str, (site, *distributions)))


@pytest.fixture
def project_rules():
    """Return the options that make ruff check by this repository's rules."""
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"][
        "lint"
    ]
    return ["--select", ",".join(lint["select"]), "--ignore", ",".join(lint["ignore"])]


def test_there_is_one_for_every_kind_of_component():
    assert sorted(KINDS) == sorted([*COMPONENT_KINDS, "hooks"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_complete_short_and_clean(kind, tmp_path, project_rules):
    folder = create("gvt-blur", kind, tmp_path)
    assert folder == tmp_path / "gvt-blur"
    data = DATA.get(kind, "mnist")
    module = set() if kind == "recipe" else {f"gvt_blur/{kind}.py"}
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert written == module | {
        ".github/workflows/test.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "gvt_blur/__init__.py",
        "gvt_blur/plugin.py",
        "gvt_blur/py.typed",
        f"gvt_blur/recipes/{data}.yaml",
        "pyproject.toml",
        "tests/test_conformance.py",
        f"tests/test_{kind}.py",
    }
    for path in module:
        tree = ast.parse((folder / path).read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        assert list(classes) == ["Blur", "Denoising"][: 2 if kind == "network" else 1]
        component = classes["Blur"]
        lines = component.end_lineno - component.lineno + 1
        assert lines < (70 if kind == "head" else 40)
    for arguments in (["check", *project_rules], ["check"], ["format", "--check"]):
        done = run("-m", "ruff", *arguments, "--no-cache", ".", cwd=folder)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_all_kinds_are_listed_and_their_tests_pass_as_they_come(tmp_path):
    folders = {kind: create(f"gvt-blur-{kind}", kind, tmp_path) for kind in KINDS}
    path = install_all(folders.values(), tmp_path / "site")
    listed = run("-m", "gvt", "list", cwd=tmp_path, PYTHONPATH=path)
    assert listed.returncode == 0, listed.stderr
    for kind in KINDS:
        components = {"recipe": 1, "hooks": 1, "network": 3}.get(kind, 2)
        assert listed.stdout.count(f"(gvt-blur-{kind} 0.1.0)") == components

    undrawn = {"GVT_BLOCK_PLUGINS": "report,tensorboard"}
    done = run("-c", ALL_TESTS, *folders.values(), cwd=tmp_path, PYTHONPATH=path, **undrawn)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert {n: text for n, (code, text) in outcomes.items() if code != 0} == {}
    for kind in KINDS:
        _, text = outcomes[f"gvt-blur-{kind}"]
        assert re.search(rf"PASSED tests/test_{kind}\.py::", text)
        recipe = f"recipe:blur_{kind}.{DATA.get(kind, 'mnist')}"
        assert f"PASSED tests/test_conformance.py::test_conformance[{recipe}-runs]" in text


def test_its_wheel_has_all_that_it_needs(tmp_path):
    folder = create("gvt-blur", "generator", tmp_path)
    done = run("-m", "hatchling", "build", "-t", "wheel", cwd=folder)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "dist").iterdir()
    with zipfile.ZipFile(wheel) as content:
        inside = {name.removeprefix("gvt_blur/") for name in content.namelist()}
    assert {
        "__init__.py",
        "generator.py",
        "plugin.py",
        "py.typed",
        "recipes/mnist.yaml",
        "gvt_blur-0.1.0.dist-info/entry_points.txt",
        "gvt_blur-0.1.0.dist-info/licenses/LICENSE",
    } <= inside
    assert not [name for name in inside if name.startswith("test")]


@pytest.mark.parametrize(
    ("distribution", "package", "plugin", "class_name"),
    [
        ("gvt-two-words", "gvt_two_words", "two_words", "TwoWords"),
        ("my-blur", "my_blur", "my_blur", "MyBlur"),
        ("gvt_blur2", "gvt_blur2", "blur2", "Blur2"),
        ("gvt-class", "gvt_class", "class", "Class"),
    ],
)
def test_all_names_follow_from_the_distribution(
    distribution, package, plugin, class_name, tmp_path
):
    folder = create(distribution, "loss", tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == distribution
    assert project["project"]["entry-points"]["gvt"] == {plugin: f"{package}.plugin"}
    assert project["tool"]["pytest"]["ini_options"]["gvt_plugins"] == [plugin]
    text = (folder / package / "plugin.py").read_text(encoding="utf-8")
    assert f'"{package}.loss:{class_name}"' in text
    compile(text, "plugin.py", "exec")


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        ("", "not a valid name"),
        ("gvt blur", "single hyphens"),
        ("gvt-Blur", "lower-case"),
        ("gvt--blur", "single hyphens"),
        ("../gvt-blur", "not a valid name"),
        ("gvt-blur-", "not a valid name"),
        ("3d", "not a valid name"),
        ("gvt-3d", "'3d'"),
        ("class", "'class'"),
        ("gvt-none", "'None'"),
        ("gvt-gan", "module gvt_gan is installed"),
        ("torch", "module torch is installed"),
        ("gvt-core", "plugin 'core' is installed"),
        ("gvt-dcgan", "offers a generator 'dcgan'"),
        ("gvt-tensor", "called Tensor"),
        ("gvt-generator", "called Generator"),
    ],
)
def test_an_invalid_name_is_an_error_of_one_line_and_writes_nothing(distribution, words, tmp_path):
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        create(distribution, "generator", tmp_path / "new")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_an_unknown_kind_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'generator'"):
        create("gvt-blur", "generators", tmp_path)
    with pytest.raises(UsageError, match="the kinds are generator, discriminator"):
        create("gvt-blur", "sausage", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "gvt-blur").mkdir()
    folder = create("gvt-blur", "head", tmp_path)  # an empty folder is as good as none
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match="exists already and is not empty"):
        create("gvt-blur", "generator", tmp_path)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    (tmp_path / "gvt-sharp").write_text("a file")
    with pytest.raises(UsageError, match="exists already"):
        create("gvt-sharp", "generator", tmp_path)


@pytest.mark.parametrize("name", ["Ada 'the \"first\"' Lövelace\\", ""])
def test_the_licence_has_the_user_name_of_git(name, tmp_path, monkeypatch):
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    (tmp_path / "gitconfig").write_text(f'[user]\nname = "{quoted}"\n', encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)
    folder = create("gvt-blur", "recipe", tmp_path)
    author = name or "The authors"
    licence = (folder / "LICENSE").read_text(encoding="utf-8")
    assert f"Copyright (c) {date.today().year} {author}\n" in licence
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["authors"] == [{"name": author}]


def test_git_is_optional(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = create("gvt-blur", "recipe", tmp_path)
    assert "The authors\n" in (folder / "LICENSE").read_text(encoding="utf-8")
