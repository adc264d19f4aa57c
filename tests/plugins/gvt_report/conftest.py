"""What the tests of the report share."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _drawn(drawn):
    """Draw the runs."""
