"""Commands of plugins: groups of one name are merged; a conflict is a warning."""

import sys

import pytest

from gvt.cli.main import main
from gvt_registry import Registry

# A plugin with the group GROUP, whose commands print the plugin's name.
SOURCE = """
import click
from gvt_registry import hookimpl

@click.group("{group}", short_help="The group of {plugin}.")
def group():
    "Commands of {plugin}."

@hookimpl
def gvt_commands():
    for name in {names}:
        group.add_command(click.Command(name, callback=lambda: print("{plugin}")))
    return [group]
"""
# A group that imports a module when one of its commands is looked up.
LAZY = """
import click
from gvt_registry import hookimpl

class Lazy(click.Group):
    def list_commands(self, ctx): return ["slow"]
    def get_command(self, ctx, name):
        if name == "slow":
            import slow_module
            return slow_module.command

@hookimpl
def gvt_commands(): return Lazy("{group}", help="Lazy.")
"""
SLOW = """
import click, sys
print("imported", file=sys.stderr)
command = click.Command("slow", callback=lambda: print("slowly"))
"""


@pytest.fixture
def gvt_command(monkeypatch, capfd):
    """Return a function that runs gvt in this process with the plugins installed so far."""

    def run(arguments, **environment):
        registry = Registry()
        with monkeypatch.context() as patch:
            for module in ("main", "offered", "options"):
                patch.setattr(
                    sys.modules[f"gvt.cli.{module}"], "default_registry", lambda: registry
                )
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["gvt", *arguments.split()])
            with pytest.raises(SystemExit) as ended:
                main()
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def offer(install):
    """Return a function that installs a plugin with a group of commands."""

    def add(plugin, group, *names):
        source = SOURCE.format(plugin=plugin, group=group, names=names)
        install(f"gvt-{plugin}", {plugin: f"{plugin}_plugin"}, **{f"{plugin}_plugin": source})

    return add


def test_a_group_joins_that_of_gvt_itself(offer, gvt_command):
    offer("zoo", "plugin", "feed")
    assert gvt_command("plugin feed") == (0, "zoo\n", "")
    _, shown, _ = gvt_command("plugin --help")
    assert "Commands of zoo." not in shown
    assert all(f"\n  {name} " in shown for name in ("list", "check", "new"))
    assert "\n  feed" in shown


def test_groups_of_two_plugins_join(offer, gvt_command):
    offer("ant", "farm", "dig")
    offer("bee", "farm", "fly")
    assert gvt_command("farm dig") == (0, "ant\n", "")
    assert gvt_command("farm fly") == (0, "bee\n", "")
    _, shown, errors = gvt_command("farm --help")
    assert errors == ""
    assert "Commands of ant." in shown
    assert shown.index("dig") < shown.index("fly")
    assert "The group of ant." in gvt_command("--help")[1]


def test_a_command_offered_twice_is_a_warning_that_names_both(offer, gvt_command):
    offer("ant", "farm", "dig", "eat")
    offer("bee", "farm", "dig")
    code, shown, errors = gvt_command("farm dig")
    assert (code, shown) == (0, "ant\n")
    assert errors == (
        "warning: command 'gvt farm dig' is offered by the plugin ant (gvt-ant 1.0) and by the "
        "plugin bee (gvt-bee 1.0); the first is used; block the other with "
        "GVT_BLOCK_PLUGINS=bee\n"
    )
    assert gvt_command("farm eat") == (0, "ant\n", "")
    assert gvt_command("farm dig", GVT_BLOCK_PLUGINS="ant") == (0, "bee\n", "")


@pytest.mark.parametrize("group", ["plugin", "run"])
def test_a_command_of_gvt_itself_cannot_be_replaced(offer, gvt_command, group):
    offer("aaa", group, "list")
    code, shown, errors = gvt_command(f"{group} --help" if group == "run" else f"{group} list")
    assert code == 0
    assert ("Train a recipe" if group == "run" else "distribution") in shown
    warning = "'gvt plugin list' is offered by gvt itself and by the plugin aaa (gvt-aaa 1.0)"
    assert (warning in errors) == (group == "plugin")


def test_plugins_of_gvts_own_distribution_come_first(offer, gvt_command):
    offer("aaa", "import", "anything")
    _, shown, errors = gvt_command("import --help")
    assert shown.startswith("Usage: gvt import [OPTIONS] FILE")
    assert "by the plugin backbones (gvt" in errors
    assert "by the plugin aaa (gvt-aaa 1.0)" in errors


def test_a_lazy_group_stays_lazy(install, gvt_command, offer):
    install("gvt-lazy", {"lazy": "lazy_plugin"}, lazy_plugin=LAZY.format(group="farm"))
    install("gvt-module", {}, slow_module=SLOW)
    offer("ant", "farm", "dig")
    for arguments in ("--help", "list", "farm dig"):
        assert gvt_command(arguments)[::2] == (0, "")
    assert gvt_command("farm slow") == (0, "slowly\n", "imported\n")


def test_a_group_that_raises_does_not_affect_others(install, gvt_command, offer):
    install("gvt-lazy", {"lazy": "lazy_plugin"}, lazy_plugin=LAZY.format(group="farm"))
    offer("ant", "farm", "dig")
    assert gvt_command("farm dig") == (0, "ant\n", "")
    code, shown, errors = gvt_command("farm slow")
    assert (code, shown, errors.count("\n")) == (2, "", 1)
    assert "gvt_commands raised ModuleNotFoundError: No module named 'slow_module'" in errors


@pytest.mark.parametrize(
    "arguments", ["farm dig --only-plugins ant", "farm dig --only-plugins=ant"]
)
def test_only_plugins_works_after_a_command_of_a_plugin(install, gvt_command, arguments):
    source = SOURCE.format(plugin="ant", group="farm", names=())
    source = source.replace("import click", "import click\nfrom gvt.cli.options import *")
    source = source.replace("in ():", "in ('dig',):").replace(
        "group.add_command(", "group.add_command(plugin_option("
    )
    source = source.replace('print("ant")))', 'print("ant"))))')
    install("gvt-ant", {"ant": "ant_plugin"}, ant_plugin=source)
    install("gvt-bee", {"bee": "bee_plugin"}, bee_plugin="print('imported')")
    assert gvt_command(arguments) == (0, "ant\n", "")


def test_a_missing_command_lists_plugins_that_cannot_be_used(offer, gvt_command):
    offer("ant", "farm", "dig")
    code, shown, errors = gvt_command("farm dig", GVT_BLOCK_PLUGINS="ant")
    assert (code, shown) == (2, "")
    assert "No such command 'farm'" in errors
    assert "Not available: ant (blocked: named in GVT_BLOCK_PLUGINS)" in errors
