"""A plugin file of this folder, loaded for the tests of one module."""

import sys
from pathlib import Path

import pytest

import gvt.fields
from gvt_registry import default_registry

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def load():
    """Return a function that loads a plugin file; its components are removed after the module."""
    registry, loaded = default_registry(), []

    def load_file(name):
        loaded.append(registry.plugins.load_file(HERE / name))
        return loaded[-1].module

    yield load_file
    present = {id(plugin) for plugin in registry.plugins}  # a test removes those that it loads
    for plugin in (plugin for plugin in loaded if id(plugin) in present):
        registry.plugins._plugins.remove(plugin)
        registry.plugins._manager.unregister(name=plugin.name)
        registry._collected.pop(plugin.name, None)
        sys.modules.pop(plugin.name, None)
    gvt.fields._field_of.cache_clear()
