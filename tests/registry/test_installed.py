"""What is installed is found without an import, and whatever one distribution's files are like."""

import sys

import pytest

from gvt_registry import Plugins
from gvt_registry.installed import installed

UNREADABLE = "[gvt]\nthis line has no sign\n"


def found():
    return {plugin.name: plugin for plugin in installed()}


def test_our_own_plugins_are_found_and_not_imported(install):
    install("gvt-good", {"good": "good_plugin"}, good_plugin="raise RuntimeError")
    plugins = found()
    assert {"core", "data", "gan", "good"} <= plugins.keys()
    assert (plugins["good"].origin, plugins["good"].state) == ("gvt-good 1.0", "ok")
    assert "good_plugin" not in sys.modules
    assert list(plugins) == [p.name for p in Plugins()]


def test_the_second_of_one_name_bears_its_distributions(install):
    install("gvt-one", {"same": "plugin_one"})
    install("gvt-two", {"same": "plugin_two"})
    plugins = found()
    assert plugins["same"].distribution == "gvt-one"
    assert plugins["gvt-two:same"].distribution == "gvt-two"


@pytest.mark.parametrize(
    ("text", "is_ours"), [(UNREADABLE, True), (UNREADABLE.replace("gvt", "other"), False)]
)
def test_entry_points_that_cannot_be_read_break_their_distribution_alone(install, text, is_ours):
    site = install("gvt-torn", {})
    (site / "gvt_torn-1.0.dist-info" / "entry_points.txt").write_text(text)
    plugins = {p.name: p for p in Plugins()}
    assert plugins["gan"].state == "ok"
    assert len([p for p in plugins.values() if p.distribution == "gvt" and p.state == "ok"]) >= 6
    assert ("gvt-torn" in plugins) == is_ours
    if is_ours:
        torn = plugins["gvt-torn"]
        assert (torn.origin, torn.state) == ("gvt-torn 1.0", "broken")
        assert torn.problem


def test_a_distribution_that_is_half_deleted_has_no_name(install):
    site = install("gvt-rest", {"rest": "nowhere"})
    (site / "gvt_rest-1.0.dist-info" / "METADATA").unlink()
    assert found()["rest"].origin == "unknown"
