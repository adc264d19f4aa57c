"""Output to terminals, and commands without a terminal."""

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import gvt
from gvt.cli.main import main
from gvt.config import text
from gvt.printable import on_one_line, shown

pytestmark = pytest.mark.usefixtures("drawn")

ESCAPES = ["\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\u202e", "\b\b", "\x7f", "\r", "\v", "\x85"]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def test_control_characters_are_escaped():
    assert shown("a\x1b[2Jb\x9b\u202ec\ud800") == "a\\x1b[2Jb\\x9b\\u202ec\\ud800"
    assert shown("a\tb\nc é 日本\u3000語 👩\u200d🔬") == "a\tb\nc é 日本\u3000語 👩\u200d🔬"
    assert on_one_line("a\nb\tc") == "a\\nb\\tc"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Write images in class folders whose names contain control characters."""
    monkeypatch.chdir(tmp_path)
    for at, name in enumerate(["cat" + "".join(ESCAPES), "dog" + ESCAPES[1]]):
        for number in range(8):
            path = tmp_path / "photos" / name / f"{number}{ESCAPES[number]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (8, 8), 100 * at + number).save(path)
    return tmp_path / "photos"


@pytest.fixture
def recipe(photos, tmp_path):
    """Write a recipe whose names contain control characters."""
    esc = ESCAPES[0] + ESCAPES[1]
    settings = {
        "recipe": f"mine{esc}",
        "task": {"name": "heads"},
        "data": {"name": "image_folder", "root": "photos", "size": 8, "channels": 1, "val": 0.3},
        "backbone": {"name": "small_cnn", "widths": [4]},
        "heads": {
            f"picture{esc}": {"name": "classifier"},
            f"other{esc}": {"name": "classifier"},
        },
        "optimizers": {"model": {"name": "SGD", "lr": 0.1}},
        "train": {"steps": 2},
        "evaluate": {"split": "val"},
        "device": "cpu",
    }
    settings["data"] |= {"batch_size": 4, "workers": 0}
    path = tmp_path / "mine.yaml"
    path.write_text(text.dump_yaml(settings), encoding="utf-8")
    return path


@pytest.fixture
def gvt_prints(monkeypatch, capsys):
    """Run the command line; return its exit code and output."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gvt", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        done = capsys.readouterr()
        return left.value.code or 0, done.out + done.err

    return run


@pytest.mark.slow
def test_no_command_prints_control_characters(recipe, photos, gvt_prints, tmp_path):
    code, printed = gvt_prints("run", recipe)
    assert code == 0, printed
    run = next((tmp_path / "runs").glob("*/*"))
    last = run / "checkpoints/last.safetensors"
    picture = min(photos.rglob("*.png"))
    broken = tmp_path / f"broken{ESCAPES[1]}.png"
    broken.write_bytes(b"none")
    verbs = {
        "run": (0, printed),
        "data check": gvt_prints("data", "check", recipe),
        "data show": gvt_prints("data", "show", recipe, "-o", f"sheet{ESCAPES[0]}.png"),
        "config": gvt_prints("config", recipe),
        "eval": gvt_prints("eval", run),
        "inspect": gvt_prints("inspect", last),
        "predict": gvt_prints("predict", last, picture, broken),
        "report": gvt_prints("report", run),
        "resume": gvt_prints("resume", run, "train.steps=3"),
        "no such setting": gvt_prints("run", recipe, f"train.{ESCAPES[0]}=5"),
        "no such value": gvt_prints("run", recipe, f"train.steps={ESCAPES[1]}"),
        "no such name": gvt_prints("show", f"x{ESCAPES[1]}\nerror: y"),
        "no such recipe": gvt_prints("run", f"x{ESCAPES[1]}.yaml"),
        "no such command": gvt_prints(f"x{ESCAPES[1]}"),
        "no such file": gvt_prints("inspect", f"x{ESCAPES[1]}"),
        "no such option": gvt_prints("run", f"--x{ESCAPES[1]}"),
    }
    bad = {n: out for n, (_, out) in verbs.items() if OBEYED.search(out)}
    assert bad == {}
    assert {n: code for n, (code, _) in verbs.items() if code != 0} == {
        "predict": 1,
        "no such setting": 2,
        "no such value": 2,
        "no such name": 2,
        "no such recipe": 2,
        "no such command": 2,
        "no such file": 1,
        "no such option": 2,
    }
    for verb in ("data check", "eval", "inspect", "run"):
        assert "\\x1b" in verbs[verb][1]
    assert verbs["no such name"][1].count("\n") == 1


def test_plugins_and_warnings_print_no_control_characters(tmp_path, gvt_prints):
    plugin = tmp_path / "odd.py"
    plugin.write_text(
        textwrap.dedent("""
        import warnings
        from gvt import Component
        from gvt_registry import hookimpl

        class Odd:
            \"\"\"Odd \x1b[2J.\"\"\"
            splits = ("train",)
            classes = ()
            image_shape = (1, 8, 8)
            def __init__(self, split, x="\\x1b[2J"):
                warnings.warn("warned \\x1b[2J")
                raise RuntimeError("raised \\x1b]0;title\\x07")

        @hookimpl
        def gvt_components():
            return [Component("dataset", "odd", Odd, "summary \\x1b[2J")]
        """),
        encoding="utf-8",
    )
    recipe = tmp_path / "odd.yaml"
    recipe.write_text(
        "{task: {name: heads}, data: {name: odd}, optimizers: {m: {name: SGD, lr: 1}},"
        " train: {steps: 1}, backbone: {name: small_cnn}, heads: {a: {name: classifier}}}"
    )
    for arguments in (
        ["list"],
        ["show", "odd"],
        ["run", recipe],
        ["run", recipe, "--debug"],
        ["plugin", "list"],
    ):
        _, printed = gvt_prints(*arguments, "--plugin", plugin)
        assert OBEYED.search(printed) is None
        assert "\\x1b" in printed or arguments[0] == "plugin"


def test_names_are_neither_markup_nor_emoji(capsys):
    from gvt.runs.display import Display

    Display("headline").note("[red]a[/red] :bomb:")
    assert "[red]a[/red] :bomb:" in capsys.readouterr().err


def run_in_shell(line, **variables):
    program = f"{sys.executable} -m gvt"
    return subprocess.run(
        ["bash", "-c", line.replace("gvt", program, 1)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("gvt list backbone 2>&-", 0, "small_cnn", ""),
        ("gvt list backbone >&-", 0, "", ""),
        ("gvt list backbone <&- >&- 2>&-", 0, "", ""),
        ("gvt nothing.at.all 2>&-", 2, "", ""),
        ("gvt nothing.at.all >&- 2>&-", 2, "", ""),
        ("gvt nothing.at.all 2>/dev/full", 2, "", ""),
        ("gvt list >/dev/full", 1, "", "error: standard output: No space left on device\n"),
        ("gvt --help >/dev/full", 1, "", "error: standard output: No space left on device\n"),
        ("(sleep 1; gvt list backbone) | true; exit ${PIPESTATUS[0]}", 0, "", ""),
        ("(sleep 1; gvt --help) | true; exit ${PIPESTATUS[0]}", 0, "", ""),
    ],
)
def test_a_closed_full_or_unread_stream_gives_no_traceback(line, code, out, err):
    done = run_in_shell(line)
    assert (done.returncode, done.stderr) == (code, err)
    assert out in done.stdout
    assert (done.stdout == "") == (out == "")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_processes")
def test_files_of_a_run_do_not_get_the_number_of_a_closed_stream(tmp_path, photos, recipe):
    done = run_in_shell(f"gvt run {recipe} <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = next((tmp_path / "runs").glob("*/*"))
    assert gvt.load(run) is not None


def test_characters_outside_the_encoding_are_escaped():
    done = run_in_shell("gvt nothing-é", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2
    assert "No such command 'nothing-\\xe9'" in done.stderr


@pytest.mark.parametrize("module", ["gvt.cli", "click", "gvt_registry.plugins", "pluggy"])
def test_interrupted_while_gvt_is_imported_is_one_line(module):
    program = f"""
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from gvt.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")


def test_the_console_script_is_the_guarded_entry():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"gvt": "gvt.__main__:main"}
