"""A plugin file of this folder, loaded for the tests of one module."""

from pathlib import Path

import pytest

from gvt_registry import default_registry

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def load():
    """Return what loads a plugin file of this folder, forgotten after the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GVT_BLOCK_PLUGINS", raising=False)
        default_registry.cache_clear()
        yield lambda name: default_registry().plugins.load_file(HERE / name)
    default_registry.cache_clear()
