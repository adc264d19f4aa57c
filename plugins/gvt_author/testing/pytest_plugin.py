"""The pytest fixture `gvt_check`: each check of the listed plugins in turn.

In `pyproject.toml`, with the names of the entry points in the group `gvt`::

    [tool.pytest.ini_options]
    gvt_plugins = ["blur"]

and the whole test file::

    def test_conformance(gvt_check):
        gvt_check()

pytest imports this module at every start, so it does not import torch.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `gvt_plugins`."""
    parser.addini("gvt_plugins", "the gvt plugins that gvt_check checks", "args", default=[])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise a test that takes `gvt_check` with all checks.

    Raises:
        pytest.UsageError: If no plugin is listed, or one cannot be loaded.
    """
    if "gvt_check" not in metafunc.fixturenames:
        return
    from gvt import UsageError
    from gvt_author.testing import checks

    names = metafunc.config.getini("gvt_plugins")
    if not names:
        raise pytest.UsageError('gvt_check: list your plugins in pytest\'s gvt_plugins = ["..."]')
    try:
        values = [check for name in names for check in checks(name)]
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    metafunc.parametrize("gvt_check", values, ids=[check.id for check in values])
