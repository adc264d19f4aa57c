"""What several tests share."""

from pathlib import Path

import pytest

PIXELS = Path(__file__).parent / "pixels.py"


@pytest.fixture(scope="module")
def pixels(load_plugin):
    """Offer the plugin whose networks see single pixels, and return its module, for a module."""
    return load_plugin(PIXELS).module
