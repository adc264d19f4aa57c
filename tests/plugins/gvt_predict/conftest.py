"""What several tests share."""

import sys
from pathlib import Path

import pytest

from gvt_registry import default_registry

PIXELS = Path(__file__).parent / "pixels.py"


@pytest.fixture(scope="module")
def pixels():
    """Offer the plugin whose networks see single pixels, and return its module, for a module."""
    plugins = default_registry().plugins
    plugin = plugins.load_file(PIXELS)
    yield sys.modules[plugin.name]
    plugins._plugins.remove(plugin)
    plugins._manager.unregister(name=plugin.name)
    default_registry()._collected.pop(plugin.name, None)
    sys.modules.pop(plugin.name, None)
