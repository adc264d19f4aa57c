"""`gvt plugin list`, and importing only the named plugins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gvt

ONE = """
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components(): return Component("head", "one", "json:loads")
"""
MANY = """
import click
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components():
    return [Component("loss", f"loss{i}", "json:loads") for i in range(3)]

@hookimpl
def gvt_commands(): return click.Command("hello")

@hookimpl
def gvt_step_ended(): pass
"""
FAILING = {
    "raises": "raise RuntimeError('it rained')",
    "leaves": "raise SystemExit('bye')",
    "late": ONE.replace("return", "raise KeyError('no') #"),
    "void": None,  # its entry point leads to nothing
}


@pytest.fixture
def gvt_command(tmp_path):
    """Return a function that runs gvt in a new process with its own settings."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "gvt", *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "XDG_CONFIG_HOME": str(tmp_path / "config"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def plugins(install):
    """Install working and broken plugins."""
    install("gvt-one", {"one": "one_plugin"}, one_plugin=ONE)
    install("gvt-many", {"many": "many_plugin"}, many_plugin=MANY)
    install("gvt-twin", {"one": "twin_plugin"}, twin_plugin="")
    install("gvt-old", {"old": "old_plugin"}, old_plugin="gvt_api = 0")
    install("gvt-typo", {"typo": "typo_plugin"}, typo_plugin=ONE.replace("components", "component"))
    for name, source in FAILING.items():
        modules = {} if source is None else {f"{name}_plugin": source}
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **modules)


def rows_of(done):
    """Return the rows of the table by plugin, split into columns."""
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = done.stdout.partition("\n\n")[0].splitlines()
    starts = [0] + [heading.index(f" {word}") + 1 for word in heading.split()[1:7]]
    ends = [*starts[1:], None]
    cut = [[row[a:b].strip() for a, b in zip(starts, ends, strict=True)] for row in rows]
    found = {}
    for name, *rest in cut:
        if name:
            found[name] = rest
        else:  # a line that goes on with the last column
            last = found[next(reversed(found))]
            last[-1] += f" {rest[-1]}"
    return found


def test_list_shows_offers_and_problems(plugins, gvt_command):
    done = gvt_command("plugin", "list", GVT_BLOCK_PLUGINS="gan")
    found = {name: [*row[:4], row[5]] for name, row in rows_of(done).items()}
    version = gvt.__version__
    lost = ["1.0", "-", "broken"]
    assert found["core"] == ["gvt", version, "1", "ok", "task heads"]
    assert found["one"] == ["gvt-one", "1.0", "1", "ok", "head one"]
    assert found["gvt-twin:one"] == ["gvt-twin", "1.0", "1", "ok", "nothing"]
    assert found["many"] == ["gvt-many", "1.0", "1", "ok", "3 losses; commands; run hooks"]
    assert found["gan"] == ["gvt", version, "-", "blocked", "named in GVT_BLOCK_PLUGINS"]
    assert found["raises"] == ["gvt-raises", *lost, "RuntimeError: it rained"]
    assert found["leaves"] == ["gvt-leaves", *lost, "SystemExit: bye"]
    assert found["late"] == ["gvt-late", "1.0", "1", "broken", "KeyError: 'no'"]
    assert found["void"][:4] == ["gvt-void", *lost]
    assert "void_plugin" in found["void"][4]
    assert found["old"][2:4] == ["0", "incompatible"]
    _, _, warnings = done.stdout.partition("warnings\n")
    (warning,) = warnings.splitlines()
    assert ("typo" in warning, "'gvt_components'" in warning) == (True, True)


def test_times_are_whole_milliseconds_of_imported_plugins_only(install, gvt_command):
    install("gvt-slow", {"slow": "slow_plugin"}, slow_plugin="import time; time.sleep(0.05)")
    rows = rows_of(gvt_command("plugin", "list", "--only-plugins", "slow"))
    assert int(rows["slow"][4]) >= 50
    assert {row[4] for row in rows.values() if row[3] == "blocked"} == {"-"}
    assert rows["gan"][3] == "blocked"


def test_our_own_plugins_fit_a_terminal(gvt_command):
    assert max(map(len, gvt_command("plugin", "list").stdout.splitlines())) <= 80


def test_a_file_is_listed_by_its_name(gvt_command, tmp_path):
    path = tmp_path / "elsewhere" / "from_a_file.py"
    path.parent.mkdir()
    path.write_text(ONE)
    row = rows_of(gvt_command("plugin", "list", "--plugin", path))["from_a_file"]
    assert row[:4] == ["from_a_file.py", "-", "1", "ok"]


def test_without_a_command_there_is_help(gvt_command):
    done = gvt_command("plugin")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {name} " in done.stdout for name in ("list", "check", "new"))


MARKED = "from pathlib import Path\nPath({path!r}).touch()\n" + ONE


@pytest.mark.parametrize("arguments", ["--only-plugins one list", "list --only-plugins one"])
def test_only_named_plugins_are_imported(install, gvt_command, tmp_path, arguments):
    for name in ("one", "two"):
        source = MARKED.format(path=str(tmp_path / name))
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **{f"{name}_plugin": source})
    done = gvt_command(*arguments.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert ((tmp_path / "one").exists(), (tmp_path / "two").exists()) == (True, False)
    assert "(gvt-one 1.0)" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("list --only-plugins gna", ["--only-plugins", "'gna'", "'gan'"]),
        ("list --only-plugins ,", ["--only-plugins", "at least one"]),
        ("config classify.mnist --only-plugins gan", ["classify.mnist", "is classify that offers"]),
        ("plugin check gna", ["'gna'"]),
        ("plugin new gvt-blur --kind generatr", ["'generatr'", "'generator'"]),
        ("plugin new gvt-blur", ["--kind"]),
    ],
)
def test_wrong_usage_is_one_line_and_2(gvt_command, arguments, words):
    done = gvt_command(*arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == []


@pytest.mark.parametrize("arguments", ["--trace-plugins list", "list --trace-plugins"])
def test_calls_of_hooks_are_timed_on_standard_error(install, gvt_command, arguments):
    install("gvt-one", {"one": "one_plugin"}, one_plugin=ONE)
    done = gvt_command(*arguments.split())
    assert done.returncode == 0
    assert "(gvt-one 1.0)" in done.stdout
    calls = [line.split() for line in done.stderr.splitlines()]
    assert all(hook.startswith("gvt_") and float(ms) >= 0 for hook, _, ms, _ in calls)
    assert ["gvt_components", "one"] in [call[:2] for call in calls]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not ask the environment for the place")
def test_the_settings_file_blocks_a_plugin_and_doctor_prints_its_path(gvt_command, tmp_path):
    place = next(
        line for line in gvt_command("doctor").stdout.splitlines() if line.startswith("settings ")
    )
    assert place.endswith(", does not exist")
    path = Path(place.removeprefix("settings ").removesuffix(", does not exist").strip())
    assert tmp_path in path.parents
    path.parent.mkdir(parents=True)
    path.write_text('[plugins]\nblock = ["gan"]\n')
    row = rows_of(gvt_command("plugin", "list"))["gan"]
    assert (row[3], row[5]) == ("blocked", f"named in {path}")

    path.write_text("plugins.blocks = []")
    done = gvt_command("list")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: ")
    assert done.stderr.count("\n") == 1


STOPPING = """
from gvt_registry import hookimpl

@hookimpl
def gvt_step_ended(step):
    if step == 2:
        raise RuntimeError("it rained")
"""


@pytest.mark.slow
def test_a_hook_that_stops_a_run_prints_how_to_resume_it(gvt_command, tmp_path):
    path = tmp_path / "elsewhere" / "stopping.py"
    path.parent.mkdir()
    path.write_text(STOPPING)
    done = gvt_command(
        *("run", "gan.mnist", "data.classes=[5]", "generator.width=8", "discriminator.width=8"),
        *("device=cpu", "train.steps=9", "run.hook_errors=stop"),
        *("--plugin", path, "--only-plugins", "gan,data"),
        GVT_BLOCK_PLUGINS="report,tensorboard",
    )
    folder = next((tmp_path / "runs" / "gan.mnist").iterdir()).relative_to(tmp_path)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: plugin 'stopping' ")
    assert f"gvt resume {folder} --plugin {path} --only-plugins gan,data" in line
