"""Names of `gvt`, including those of plugins."""

import subprocess
import sys

import pytest

import gvt
from gvt_registry import BrokenComponent, default_registry

PLUGIN = """
from gvt_registry import hookimpl

def greet():
    return "hello"

@hookimpl
def gvt_names():
    return {"greet": "NAME:greet", "run": "NAME:greet", "lost": "NAME:lost"}
"""


@pytest.fixture
def plugin(tmp_path):
    """Load a plugin file with names, for a test."""
    plugins, name = default_registry().plugins, f"names_{tmp_path.name}".replace("-", "_")
    file = tmp_path / f"{name}.py"
    file.write_text(PLUGIN.replace("NAME", name))
    return plugins.load_file(file)


def test_a_plugin_adds_a_name(plugin):
    assert gvt.greet() == "hello"
    assert "greet" in dir(gvt)


def test_no_plugin_takes_a_name_of_gvt(plugin):
    assert gvt.run.__module__ == "gvt.session.api"


def test_a_broken_name_says_which_plugin_offers_it(plugin):
    with pytest.raises(BrokenComponent, match=r"name 'lost' from .* is broken: AttributeError"):
        gvt.lost  # noqa: B018


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gvt' has no attribute 'greet'"):
        gvt.greet  # noqa: B018


def test_names_of_our_plugins_exist_and_say_if_they_are_blocked():
    code = "import gvt; print(gvt.predict.__module__); print(gvt.Predicted, gvt.nothing)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("gvt_predict.predict\n")
    assert "has no attribute 'nothing'" in done.stderr
    environment = {"GVT_BLOCK_PLUGINS": "predict"}
    code = f"import os; os.environ.update({environment}); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert "has no attribute 'predict'. Not available: predict (blocked: named in" in last


def test_submodules_and_protocols_of_python_import_no_plugins():
    code = (
        "import gvt, gvt_registry\n"
        "from gvt import seeding\n"
        "hasattr(gvt, '__wrapped__')\n"
        "print(gvt_registry.default_registry().plugins._pending_entry_points)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
