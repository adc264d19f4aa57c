"""Importing only the named plugins, and wrong usage in one line."""

import os
import subprocess
import sys

import pytest

ONE = """
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components(): return Component("head", "one", "json:loads")
"""


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
