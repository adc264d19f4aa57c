"""The author's tools come through the door that is there for every plugin."""

import os
import subprocess
import sys

import pytest

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


def test_gvt_says_where_the_kit_is():
    with pytest.raises(AttributeError, match=r"no attribute 'testing'; import gvt_author\.testing"):
        gvt.testing.checks("gan")
