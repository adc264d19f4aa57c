"""Options that plugins add to gvt's own commands."""

import sys

import pytest

from gvt.cli.main import main
from gvt_registry import Registry

PLUGIN = """
import click
from gvt.cli.extension import Extension
from gvt_registry import hookimpl

@click.command("list", cls=Extension)
@click.argument("kind", required=False)
@click.option("--{option}", help="Count {plugin}.")
def counted(kind, {option}):
    "With --{option} {plugin} counts."
    print("{plugin}", kind, {option})

@hookimpl
def gvt_commands():
    return counted
"""


@pytest.fixture
def gvt_command(monkeypatch, capfd):
    """Return a function that runs gvt in this process with the plugins installed so far."""

    def run(*arguments):
        registry = Registry()
        with monkeypatch.context() as patch:
            for module in ("main", "offered", "options"):
                patch.setattr(
                    sys.modules[f"gvt.cli.{module}"], "default_registry", lambda: registry
                )
            patch.setattr(sys, "argv", ["gvt", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def plugin(install):
    """Return a function that installs a plugin with an option for `gvt list`."""

    def add(name, option):
        source = PLUGIN.format(plugin=name, option=option)
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **{f"{name}_plugin": source})

    return add


def test_the_extension_is_called_if_its_option_is_used(plugin, gvt_command):
    plugin("one", "most")
    assert gvt_command("list", "task", "--most", "3") == (0, "one task 3\n", "")
    code, out, _ = gvt_command("list", "task")
    assert (code, "heads" in out, "one task" in out) == (0, True, False)


def test_the_arguments_of_the_command_are_still_checked(plugin, gvt_command):
    plugin("one", "most")
    code, out, err = gvt_command("list", "tsak", "--most", "3")
    assert (code, out) == (2, "")
    assert "Invalid value for '[KIND]': 'tsak'" in err


def test_the_help_has_both(plugin, gvt_command):
    plugin("one", "most")
    _, out, _ = gvt_command("list", "--help")
    assert "List recipes, tasks" in out
    assert "\n  With --most one counts.\n" in out
    assert out.index("--most TEXT") < out.index("--plugin FILE")
    _, out, _ = gvt_command("--help")
    assert out.count("\n  list ") == 1


def test_the_first_of_two_options_with_one_name_is_used(plugin, gvt_command):
    plugin("one", "most")
    plugin("two", "most")
    plugin("yet", "least")
    assert gvt_command("list", "--most", "3")[:2] == (0, "one None 3\n")
    assert gvt_command("list", "--least", "3")[:2] == (0, "yet None 3\n")


def test_an_extension_of_an_absent_command_is_not_a_command(install, gvt_command):
    source = PLUGIN.format(plugin="one", option="most").replace('"list"', '"lits"')
    install("gvt-one", {"one": "one_plugin"}, one_plugin=source)
    code, _, err = gvt_command("lits", "--most", "3")
    assert (code, "No such command 'lits'" in err) == (2, True)
    assert "lits" not in gvt_command("--help")[1]
