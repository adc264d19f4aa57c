"""Run every command of docs/plugins.md in order, as a new author would."""

import inspect
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from gvt_author.scaffold import KINDS
from gvt_registry import KINDS as COMPONENT_KINDS
from gvt_registry import hookspecs

PAGE = (Path(__file__).parents[4] / "docs" / "plugins.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOURCES = {  # blocks that begin with the name of a file
    name[1]: block[2]
    for block in FENCE.finditer(PAGE)
    if (name := re.match(r"# (\w+\.py)\n", block[2]))
}
COMMANDS = [
    line.removeprefix("$ ")
    for block in FENCE.finditer(PAGE)
    if block[1] == "console"
    for line in block[2].splitlines()
]


@pytest.fixture
def environment(tmp_path):
    """Make an environment that borrows this one's packages, and return its interpreter."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    scheme = "nt_venv" if os.name == "nt" else "posix_venv"
    paths = sysconfig.get_paths(scheme, vars={"base": str(folder), "platbase": str(folder)})
    borrowed = sysconfig.get_path("purelib")
    # As a site folder, for gvt's own editable install to be followed.
    line = f"import site; site.addsitedir({borrowed!r})\n"
    Path(paths["purelib"], "borrowed.pth").write_text(line, encoding="utf-8")
    return Path(paths["scripts"], Path(sys.executable).name)


def program(interpreter, command, folder):
    """Return a command of the page as one that needs no network."""
    name, *arguments = shlex.split(command)
    found = [p for a in arguments for p in (sorted(folder.glob(a)) if "*" in a else [a])]
    if name == "pip":
        found += ["--no-deps", "--no-build-isolation", "--quiet"]
    return [str(interpreter), "-m", name, *map(str, found)]


@pytest.mark.slow
def test_every_command_does_what_the_page_says(environment, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    for name, source in SOURCES.items():
        (folder / name).write_text(source, encoding="utf-8")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    said = {}
    for command in COMMANDS:
        done = subprocess.run(
            program(environment, command, folder),
            cwd=folder,
            env=outside,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        said[command] = done.stdout
    assert "gvt-blur" in said["gvt list generator"]
    assert "0 failed" in said["gvt plugin check blur"]
    assert re.search(r"\bblur +gvt-blur +0\.1\.0 +1 +ok\b", said["gvt plugin list"])
    assert list(folder.glob("runs/blur.mnist/*/report.html"))
    lowest, largest = COMMANDS[-2:]
    assert re.fullmatch(r"\d \d\.\d{4}\n", said[lowest])
    assert re.fullmatch(r"( +\d+\.\d\d  \S+\n){2}", said[largest])


def test_every_hook_is_on_the_page_with_its_arguments_and_no_other():
    hooks = {
        name: tuple(inspect.signature(hook).parameters)
        for name, hook in vars(hookspecs).items()
        if name.startswith("gvt_")
    }
    rows = re.findall(r"^\| `(gvt_\w+)\((.*?)\)` \|", PAGE, re.MULTILINE)
    assert {name: tuple(filter(None, text.split(", "))) for name, text in rows} == hooks
    assert set(re.findall(r"^def (gvt_\w+)", PAGE, re.MULTILINE)) <= hooks.keys()


def test_every_kind_has_its_section_and_can_be_begun():
    sections = [title.lower() for title in re.findall(r"^### (.*)$", PAGE, re.MULTILINE)]
    assert set(COMPONENT_KINDS) <= set(sections)
    (sentence,) = re.findall(r"^`--kind` is (.*?)\.", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", sentence) == list(KINDS)


@pytest.mark.parametrize("kind", [k for k in COMPONENT_KINDS if k != "recipe"])
def test_every_kind_has_an_example(kind):
    assert re.search(rf'^@gvt\.register\("{kind}", ', PAGE, re.MULTILINE)
