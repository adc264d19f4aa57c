"""What the documentation says is run, looked up, or compared."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gvt_registry import default_registry, hookspecs

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ALL_PAGES = [*PAGES, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY"))]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
REPOSITORY_PATH = re.compile(r"`((?:registry|core|plugins|tests|examples|docs)/[\w./-]*)`")


def name(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    """Return (number of the first line, text) of each fenced block of a language."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in FENCE.finditer(text)
        if match[1] == language
    ]


def gvt_commands(verb):
    """Return the arguments of every `gvt VERB` line on any page."""
    lines = [
        line
        for page in ALL_PAGES
        for language in ("sh", "bash", "powershell")
        for _, text in blocks(page, language)
        for line in re.findall(r"\bgvt " + verb + r" ([^;&\n]+)", text)
    ]
    found = [tuple(shlex.split(line, comments=True)) for line in lines]
    return [arguments for arguments in dict.fromkeys(found) if arguments[0] != "mine.yaml"]


def run(*command, cwd):
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name)
def test_python_blocks_run_in_their_order(page, tmp_path):
    # Blank lines put each block where it stands, so that a traceback names the page's own line.
    lines = [""] * (page.read_text(encoding="utf-8").count("\n") + 1)
    for first, text in blocks(page, "python"):
        block = text.splitlines()
        lines[first - 1 : first - 1 + len(block)] = block
    script = tmp_path / f"{page.stem}.py"
    # Hundreds of steps would run the same code for minutes.
    text = re.sub(r"\bsteps=\d{3,}", "steps=20", "\n".join(lines))
    script.write_text(text, encoding="utf-8")
    done = run(str(script), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", gvt_commands("run"), ids=" ".join)
def test_runs_are_valid(arguments, call):
    if any("plugin" in word for word in arguments):  # which this process would keep
        done = run("-m", "gvt", "config", *arguments, cwd=ROOT)
    else:
        done = call("config", *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_readme_has_the_two_commands_that_ci_runs():
    commands = [text.strip() for _, text in blocks(ROOT / "README.md", "sh")]
    assert len(commands) == 2
    start, test = commands
    assert start.startswith("python3 -m venv .venv && ")
    assert start.endswith(".venv/bin/gvt run gan.mnist")
    assert test in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_readme_lists_every_recipe_with_its_summary():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    offers = [o.component for o in default_registry().offers("recipe") if o.distribution == "gvt"]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE)
    assert dict(rows) == {recipe.name: recipe.summary for recipe in offers}


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_links_lead_somewhere(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    relative = [link.partition("#")[0] for link in links if "://" not in link]
    missing = [link for link in relative if link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_paths_in_prose_exist(page):
    paths = REPOSITORY_PATH.findall(page.read_text(encoding="utf-8"))
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_toml_blocks_are_toml(page):
    for _, text in blocks(page, "toml"):
        assert tomllib.loads(text)


def test_the_architecture_page_names_every_hook():
    hooks = {n for n in vars(hookspecs) if n.startswith("gvt_")}
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(gvt_\w+)` \|", page, re.MULTILINE))
    assert named == hooks


def test_the_readme_shows_the_hook_of_the_example_plugin():
    example = (ROOT / "examples" / "my_generator.py").read_text(encoding="utf-8")
    assert len(example.splitlines()) < 40
    returned = re.search(r"return Component\(.*\)", example)
    assert returned is not None
    shown = [text for _, text in blocks(ROOT / "README.md", "python") if returned[0] in text]
    assert len(shown) == 1


@pytest.mark.slow
def test_example_train_in_code(tmp_path):
    done = run(str(ROOT / "examples" / "train_in_code.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.rsplit(maxsplit=1)[1])
    assert 0.85 < accuracy <= 1  # ten classes, so guessing would be 0.1


def test_the_readme_shows_the_example_that_mixes_heads():
    """Its blocks are run, and this is one of them."""
    example = (ROOT / "examples" / "mix_heads.py").read_text(encoding="utf-8")
    assert len(example.splitlines()) <= 20
    _, _, code = example.partition("\n\n")
    assert [text for _, text in blocks(ROOT / "README.md", "python") if text == code] == [code]


@pytest.mark.slow
def test_example_my_generator(tmp_path):
    example = str(ROOT / "examples" / "my_generator.py")
    settings = ["generator.name=dense", "train.steps=3", "data.classes=[5]"]
    done = run("-m", "gvt", "run", "gan.mnist", *settings, "--plugin", example, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/gan.mnist/*/samples/*.png"))
    listed = run("-m", "gvt", "list", "generator", "--plugin", example, cwd=tmp_path)
    assert "Dense layers and tanh" in listed.stdout
