"""A plugin file of this folder, loaded for the tests of one module."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def load(load_plugin):
    """Return a function that loads a plugin file of this folder, and returns its module."""
    return lambda name: load_plugin(HERE / name).module
