"""The tools for authors are an ordinary plugin."""

import importlib
import os
import subprocess
import sys

import gvt


def test_without_the_plugin_gvt_has_no_author_commands():
    done = subprocess.run(
        [sys.executable, "-m", "gvt", "plugin", "check", "gan"],
        env={**os.environ, "GVT_BLOCK_PLUGINS": "author"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "No such command 'check'" in done.stderr
    assert "Not available: author (blocked: named in GVT_BLOCK_PLUGINS)" in done.stderr


def test_the_kit_is_a_name_of_gvt():
    assert gvt.testing is importlib.import_module("gvt_author.testing")
