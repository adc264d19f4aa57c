"""The conformance kit in the tests of an author."""

import subprocess
import sys

import pytest

PLUGIN = """
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components():
    return Component("metric", "share", "shares:Share", summary="Share of those that are right")
"""
METRIC = '''
import torch

class Share:
    """Share of those that are right."""

    def __init__(self):
        self.reset()

    def update(self, predicted, truth):
        self.seen += len(truth)
        self.right += float((predicted == truth).sum())

    def compute(self):
        return torch.tensor(self.right / self.seen)

    def reset(self):
        self.seen, self.right = 0, 0.0
'''


@pytest.fixture
def author(install, tmp_path):
    """Return what runs an author's test file, and returns pytest's exit code and output."""
    install("gvt-shares", {"shares": "shares_plugin"}, shares_plugin=PLUGIN, shares=METRIC)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "test_conformance.py").write_text(
        "def test_conformance(gvt_check):\n    gvt_check()\n"
    )

    def test(settings):
        (folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
        command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return test


@pytest.mark.slow
def test_one_test_function_becomes_one_test_a_rule(author):
    code, out = author("gvt_plugins = shares")
    assert code == 0, out
    assert "test_conformance[plugin:shares-listing] PASSED" in out
    assert "test_conformance[metric:share-deep-copy] PASSED" in out
    assert "it has no run hooks" in out  # a skip with its reason


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("", 'list your plugins in pytest\'s gvt_plugins = ["..."]'),
        ("gvt_plugins = share", "no plugin is called 'share'; did you mean 'shares'?"),
    ],
)
def test_a_plugin_that_is_not_listed_or_not_there_is_one_line(author, settings, says):
    code, out = author(settings)
    assert code != 0
    assert says in out
    assert "Traceback" not in out


def test_it_is_cheap_to_import():
    program = "import gvt_author.testing.pytest_plugin, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
