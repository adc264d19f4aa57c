"""`gvt doctor`: versions, devices, plugins and data."""

import os
import subprocess
import sys

import pytest

from gvt.cli.main import main

BROKEN = {
    "raises": "raise RuntimeError('it rained')",
    "leaves": "raise SystemExit('bye')",
    "lacks": "import a_module_that_nobody_has",
    "empty": None,  # its entry point leads to no module
}


@pytest.fixture
def call(monkeypatch, capfd):
    """Return a function that runs gvt in this process and returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gvt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def gvt_command(tmp_path):
    """Return a function that runs gvt in a new process, outside the repository."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "gvt", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def broken(install):
    """Install four distributions that are broken in different ways."""
    for name, source in BROKEN.items():
        modules = {} if source is None else {f"{name}_plugin": source}
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **modules)


@pytest.mark.slow
def test_doctor_prints_versions_devices_plugins_and_data(call):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    for word in ("python", "torch", "gvt", "device", "cpu", "plugin gan", "data mnist", "60,000"):
        assert word in out
    assert len(out.splitlines()) < 50


def test_doctor_lists_data_that_is_ready_and_missing_settings(call):
    _, out, _ = call("doctor")
    rows = [line.split("  ", 1) for line in out.splitlines() if line.startswith("data ")]
    about = {name: text.strip() for name, text in rows}
    assert about["data mnist"] == "ready: 60,000 images (train)"
    names, _, settings = about["data with a path"].partition(": ")
    assert {"coco", "image_folder", "imagenet", "voc"} <= {*names.split(", ")}
    assert settings == "give data.root=PATH"
    assert "imagenet" not in "".join(name for name, _ in rows)
    assert ["data with settings", "mixed: give data.parts"] in [[n, t.strip()] for n, t in rows]


BAD_DATA = """
from gvt_registry import Component, hookimpl

class Rotten:
    splits = ("train",)

    def __init__(self, split):
        raise {error}

@hookimpl
def gvt_components():
    return [Component("dataset", "rotten", f"{{__name__}}:Rotten", summary="It is")]
"""


@pytest.mark.slow
def test_doctor_reports_broken_plugins(broken, install, gvt_command):
    install("gvt-rot", {"rot": "rot_plugin"}, rot_plugin=BAD_DATA.format(error="OSError('mould')"))
    late = (
        "from gvt_registry import hookimpl\n@hookimpl\ndef gvt_components(): raise KeyError('no')"
    )
    install("gvt-late", {"late": "late_plugin"}, late_plugin=late)
    done = gvt_command("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.splitlines()
    assert next(row for row in rows if row.startswith("plugin late")).endswith(
        "broken: KeyError: 'no'"
    )
    assert {f"plugin {name}" for name in BROKEN} <= {" ".join(r.split()[:2]) for r in rows}
    assert "60,000" in next(row for row in rows if row.startswith("data mnist"))
    assert "mould" in next(row for row in rows if row.startswith("data rotten"))
