"""All of gvt's own plugins pass the conformance kit."""

import tomllib
from pathlib import Path

import pytest

from gvt_author.testing import Skipped, checks
from gvt_registry import default_registry


def _is_run_elsewhere(check):
    return check.component.startswith("recipe:") and check.rule == "runs"


def _is_long(check):
    is_export = check.rule == "exports" and check.component.startswith("head:")
    return is_export and check.component not in QUICK_EXPORTS


OURS = [plugin.name for plugin in default_registry().plugins if plugin.distribution == "gvt"]
# Running each recipe for two steps is the least of what cli/test_verbs.py does with all of them.
CHECKS = [c for name in OURS for c in checks(name) if not _is_run_elsewhere(c)]

# Exported in a second or less; the others take several.
QUICK_EXPORTS = {f"head:{name}" for name in ("classifier", "multilabel", "fcn", "realness")}

# Data sets whose files cannot be generated: torchvision compares their MD5.
UNTRIED = {"dataset:cifar10"}


def test_none_of_ours_is_left_out():
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text("utf-8"))
    assert set(OURS) == set(project["project"]["entry-points"]["gvt"])


@pytest.mark.slow_for_most_recipes
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, marks=[pytest.mark.slow] if _is_long(check) else [], id=check.id)
        for check in CHECKS
    ],
)
def test_our_plugins_conform(check):
    try:
        check()
    except Skipped as skipped:
        assert "gvt_example" not in str(skipped) or check.component in UNTRIED
        assert "does not" not in str(skipped)
        pytest.skip(str(skipped))
