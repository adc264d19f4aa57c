"""The command line: output, streams and exit codes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gvt
from gvt.cli.main import main
from gvt_registry import KINDS, default_registry

OFFERS = [  # our own, whatever else is installed
    (o.component.kind, o.component.name)
    for o in default_registry().offers()
    if o.distribution == "gvt"
]
VERSION = gvt.__version__
HEAVY = ("torch", "torchvision", "numpy", "matplotlib")
FASTER = ("data.classes=[5]", "generator.width=8", "discriminator.width=8", "device=cpu")

PLUGIN = '''
"""A generator of one layer."""

from torch import nn

from gvt import Generator
from gvt_registry import Component, hookimpl


class OneLayer(Generator):
    """Noise to images through one dense layer.

    Args:
        image_shape: (C, H, W).
        latent: Length of a latent.
    """

    def __init__(self, image_shape: tuple[int, int, int], latent: int = 8) -> None:
        super().__init__()
        self.latent_shape, self.image_shape = (latent,), image_shape
        channels, height, width = image_shape
        self.layers = nn.Sequential(
            nn.Linear(latent, channels * height * width), nn.Tanh(), nn.Unflatten(1, image_shape)
        )

    def forward(self, z, labels=None):
        return self.layers(z)


@hookimpl
def gvt_components():
    return [Component("generator", "one_layer", f"{__name__}:OneLayer", summary="One layer")]
'''

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


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Train a GAN for two steps and return its checkpoint."""
    root = tmp_path_factory.mktemp("runs")
    run = gvt.run("gan.mnist", *FASTER, "train.steps=2", f"run.root={root}", quiet=True)
    return run.checkpoint


@pytest.fixture
def plugin_file(tmp_path):
    """Write the plugin as a file outside the repository, and outside the current folder."""
    path = tmp_path / "elsewhere" / "one_layer.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    return path


def assert_one_error(done, code, *words):
    """Check the exit code, and that one line says what is wrong, without a traceback."""
    returned, out, err = (
        (done.returncode, done.stdout, done.stderr)
        if isinstance(done, subprocess.CompletedProcess)
        else done
    )
    assert (returned, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert [word for word in words if word not in err] == []


# Quick commands


def heavy_imports(*arguments):
    """Run gvt in a fresh process, and return what it printed and which heavy modules it has."""
    program = (
        "import sys; from gvt.cli.main import main\n"
        "try: main()\n"
        f"finally: print(*sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr.split()


@pytest.mark.parametrize(
    "arguments",
    [
        *("--help", "--version", "list", "list generator", "run --help", "config gan.mnist"),
        *("plugin list", "plugin list --only-plugins gan", "plugin --help"),
    ],
)
def test_quick_commands_import_nothing_heavy(arguments):
    out, heavy = heavy_imports(*arguments.split())
    assert out
    assert heavy == []


def test_inspecting_imports_nothing_heavy(checkpoint):
    out, heavy = heavy_imports("inspect", checkpoint)
    assert "gan.mnist" in out
    assert heavy == []


def test_showing_imports_torch():
    """The two tests above rely on this."""
    assert "torch" in heavy_imports("show", "generator:dcgan")[1]


def test_the_version_is_the_distributions(call):
    code, out, _ = call("--version")
    assert (code, out.split()[-1]) == (0, VERSION)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands(call, option):
    code, out, _ = call(option)
    assert code == 0
    for command in ("run", "resume", "list", "show", "config", "inspect", "doctor"):
        assert f"\n  {command} " in out


@pytest.mark.parametrize(
    "command", ["run", "resume", "list", "show", "config", "inspect", "doctor"]
)
def test_every_command_has_help(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: gvt {command}")


def test_without_a_command_help_is_shown_and_no_error(call):
    _, out, err = call()
    assert "Usage: gvt" in out + err
    assert "error:" not in out + err


def test_a_group_without_a_command_shows_its_help_and_no_error_before_it(call):
    code, out, err = call("data")
    assert (code, out) == (2, "")
    assert err.startswith("Usage: gvt data")
    assert "\n  check " in err


def listed(out):
    """Return the names in a listing that are from our own distribution."""
    return [line.split()[0] for line in out.splitlines() if line.endswith(f"(gvt {VERSION})")]


def test_list_shows_everything(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    assert listed(out) == [name for _, name in OFFERS]
    headings = [line for line in out.splitlines() if line in KINDS]
    assert headings == list(dict.fromkeys(kind for kind, _ in OFFERS))


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_one_kind_shows_that_alone(call, kind):
    code, out, _ = call("list", kind)
    assert code == 0
    assert listed(out) == [name for k, name in OFFERS if k == kind]
    assert kind in out


MADE_UP = re.compile(r".*\.(mnist.*|scenes)").match
"""Recipes whose data is inside the package."""


BCCD = (
    "warning: split train: left out: 1 box without area: "
    "Annotations/BloodImage_00343.xml: object 4 (RBC)\n"
)
"""The message about the real data set, if it is available."""


@pytest.mark.parametrize(("kind", "name"), OFFERS)
def test_everything_offered_can_be_shown(call, kind, name):
    code, out, err = call("show", f"{kind}:{name}")
    said = BCCD if name.startswith("detect.bccd") and "GVT_DATA" in os.environ else ""
    assert (code, err) == (0, said)
    assert out.startswith(f"{kind} {name}\n")
    assert VERSION in out.splitlines()[2]
    if kind == "recipe":
        unknown = "its size depends on its data" in out.splitlines()[-1]
        assert "parameters" in out.splitlines()[-1] or (unknown and not MADE_UP(name))
    else:
        assert "\nparameters\n" in out


def test_show_prints_parameters_defaults_types_and_size(call):
    _, out, _ = call("show", "generator:dcgan")
    assert re.search(r"latent +int > 0 +default 64", out)
    assert "228,897 parameters" in out
    _, out, _ = call("show", "classify.mnist")
    assert "all" in out.splitlines()[-1]
    assert "225,034 parameters" in out.splitlines()[-1]


def test_show_of_a_name_with_several_kinds_shows_all(call):
    code, out, _ = call("show", "dcgan")
    assert code == 0
    assert "generator dcgan\n" in out
    assert "discriminator dcgan\n" in out


def test_config_prints_a_recipe_that_runs(call, tmp_path):
    code, out, err = call("config", "gan.mnist", "train.steps=7", "generator.width=8")
    assert (code, err) == (0, "")
    path = tmp_path / "mine.yaml"
    path.write_text(out)
    config = gvt.compose(path)
    assert (config.train.steps, config.generator.parameters["width"]) == (7, 8)


def test_inspect_prints_the_contents_of_a_checkpoint(call, checkpoint):
    code, out, err = call("inspect", checkpoint)
    assert (code, err) == (0, "")
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert str(checkpoint) in rows["file"]
    assert rows["recipe"].startswith("gan.mnist")
    assert rows["step"].startswith("2 ")
    assert rows["classes"] == "5"
    assert "\ntensors task " in out
    assert f"plugin of generator:dcgan gvt {VERSION}" in " ".join(out.split())


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
    assert about["data mnist"] == "ready: 60,000 samples (train)"
    names, _, settings = about["data with a path"].partition(": ")
    assert {"coco", "image_folder", "imagenet", "voc"} <= {*names.split(", ")}
    assert settings == "give data.root=PATH"
    assert "imagenet" not in "".join(name for name, _ in rows)
    assert ["data with settings", "mixed: give data.parts"] in [[n, t.strip()] for n, t in rows]


@pytest.mark.parametrize("command", ["show", "config"])
@pytest.mark.parametrize("recipe", ["detect.bccd", "segment.membrane"])
def test_a_recipe_is_printed_without_its_data(call, monkeypatch, command, recipe):
    monkeypatch.delenv("GVT_DATA", raising=False)
    code, out, err = call(command, recipe)
    assert (code, err) == (0, "")
    assert "root: ${GVT_DATA}/" in out


def test_a_changed_setting_keeps_the_variable_of_a_path(call, monkeypatch):
    monkeypatch.delenv("GVT_DATA", raising=False)
    code, out, err = call("config", "detect.bccd", "train.epochs=3")
    assert (code, err) == (0, "")
    assert "root: ${GVT_DATA}/bccd/BCCD" in out
    assert "epochs: 3" in out


# Errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("lst", ["lst", "list"]),
        ("run", ["RECIPE"]),
        ("run gan.mnits", ["gan.mnits", "'gan.mnist'"]),
        ("run mnist", ["'gan.mnist'", "'classify.mnist'"]),
        ("run nowhere.yaml", ["nowhere.yaml"]),
        ("run gan.mnist train.stesp=5", ["train.stesp", "'steps'"]),
        ("run gan.mnist train.steps=true", ["train.steps"]),
        ("run gan.mnist train.steps", ["section.key=value"]),
        ("run gan.mnist --train.steps=5", ["train.steps=VALUE"]),
        ("run gan.mnist generator.widht=5", ["generator.widht", "'width'"]),
        ("run gan.mnist generator.width=5", ["generator", "DCGANGenerator"]),
        ("run gan.mnist generator.width=true", ["generator.width", "int"]),
        ("run gan.mnist generator.image_shape=[1,2,3]", ["generator.image_shape", "gvt"]),
        ("run gan.mnist generator.name=dcgna", ["generator", "'dcgan'"]),
        ("run gan.mnist generator=null", ["generator", "missing"]),
        ("run gan.mnist task.name=heads", ["generator", "heads"]),
        ("run gan.mnist optimizers.generator.name=Adma", ["optimizers.generator.name", "'Adam'"]),
        ("run gan.mnist optimizers.generator.rl=1", ["optimizers.generator.rl"]),
        ("run gan.mnist data.transforms=[{name:RandomCorp}]", ["data.transforms", "data"]),
        ("run gan.mnist data.classes=[11]", ["data", "11"]),
        ("run gan.mnist evaluate.split=dev", ["evaluate.split", "train, val, test"]),
        ("run gan.mnist device=tpu", ["device", "tpu"]),
        ("run gan.mnist device=cuda:99", ["device", "cuda:99", "cpu"]),
        ("show dcgna", ["'dcgan'"]),
        ("show generator:dcgna", ["'dcgan'"]),
        ("list generators", ["generators", "'generator'"]),
        ("config gan.mnist train.stesp=5", ["train.stesp"]),
        ("list --plugin nowhere.py", ["nowhere.py"]),
        ("resume nowhere", ["nowhere"]),
        ("resume run.root=nowhere", ["nowhere"]),
        ("inspect", ["FILE"]),
    ],
)
def test_wrong_usage_is_one_line_and_2(call, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_error(call(*arguments.split()), 2, *words)
    assert list(tmp_path.iterdir()) == []  # nothing has been started


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("inspect nowhere.safetensors", ["nowhere.safetensors"]),
        ("inspect text.safetensors", ["text.safetensors", "13 bytes"]),
        ("run gan.mnist data.root=empty", ["data.root", "empty", "MNIST"]),
        ("run gan.mnist init_from=nowhere.safetensors", ["nowhere.safetensors"]),
    ],
)
def test_a_failure_is_one_line_and_1(call, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    assert_one_error(call(*arguments.split()), 1, *words)


@pytest.mark.parametrize("placed", ["before", "behind", "variable"])
def test_debug_shows_the_traceback_above_the_line(call, monkeypatch, placed):
    arguments = ["inspect", "nowhere.safetensors"]
    if placed == "variable":
        monkeypatch.setenv("GVT_DEBUG", "1")
    else:
        arguments.insert(0 if placed == "before" else 2, "--debug")
    code, _, err = call(*arguments)
    assert code == 1
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: no checkpoint")


def test_a_damaged_checkpoint_is_one_line(call, checkpoint, tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes(checkpoint.read_bytes()[:-100])
    assert_one_error(call("inspect", path), 1, "short.safetensors", "100 bytes")


COMMANDS = """
import click
from gvt_registry import hookimpl

@click.command()
@click.argument("how", default="well")
def hello(how):
    "Greet."
    if how == "boom":
        raise RuntimeError("it rained\\nall day")
    print("hello")

@hookimpl
def gvt_commands():
    {give} hello
"""


@pytest.mark.parametrize("give", ["return", "yield"])
def test_a_plugin_adds_a_command(install, gvt_command, give):
    install("gvt-hello", {"hello": "hello_plugin"}, hello_plugin=COMMANDS.format(give=give))
    done = gvt_command("hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert "Greet." in gvt_command("--help").stdout


def test_an_unexpected_error_is_one_line_that_names_debug(install, gvt_command):
    install("gvt-hello", {"hello": "hello_plugin"}, hello_plugin=COMMANDS.format(give="return"))
    done = gvt_command("hello", "boom")
    assert_one_error(done, 1, "RuntimeError: it rained all day", "--debug")
    done = gvt_command("hello", "boom", GVT_DEBUG="1")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.splitlines()[-1] == "error: RuntimeError: it rained all day"


@pytest.mark.parametrize("body", ["raise RuntimeError('ouch')", "return 5", "return [5]"])
def test_broken_commands_of_a_plugin_do_not_affect_others(install, gvt_command, body):
    source = f"from gvt_registry import hookimpl\n@hookimpl\ndef gvt_commands(): {body}\n"
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin=source)
    done = gvt_command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor" in done.stdout


# Plugins


def test_the_plugin_is_as_short_as_the_docs_say():
    assert len(PLUGIN.strip().splitlines()) < 40


@pytest.fixture
def broken(install):
    """Install four distributions that are broken in different ways."""
    for name, source in BROKEN.items():
        modules = {} if source is None else {f"{name}_plugin": source}
        install(f"gvt-{name}", {name: f"{name}_plugin"}, **modules)


@pytest.mark.slow
def test_a_plugin_file_runs_while_others_are_broken(broken, gvt_command, plugin_file, tmp_path):
    done = gvt_command(
        *("run", "gan.mnist", "generator.name=one_layer", "train.steps=2", "data.classes=[5]"),
        *("discriminator.width=8", f"run.root={tmp_path / 'runs'}", "--plugin", plugin_file),
    )
    assert done.returncode == 0, done.stderr
    written = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert {"samples", "progress", "losses", "report", "metrics", "checkpoint"} == written.keys()
    folder = tmp_path / "runs" / "gan.mnist"
    assert all(Path(p).is_file() and folder in Path(p).parents for p in written.values())
    assert "\x1b" not in done.stdout + done.stderr

    inspected = gvt_command("inspect", written["checkpoint"]).stdout
    assert str(plugin_file) in inspected


def test_broken_distributions_are_listed_beside_what_works(broken, install, gvt_command):
    install("gvt-one-layer", {"one": "one_layer"}, one_layer=PLUGIN)
    done = gvt_command("list")
    assert (done.returncode, done.stderr) == (0, "")
    working, _, unusable = done.stdout.partition("plugins that cannot be used\n")
    for _, name in OFFERS:
        assert f"\n  {name} " in working
    assert "(gvt-one-layer 1.0)" in next(li for li in working.splitlines() if "one_layer" in li)
    reasons = {line.split()[0]: line for line in unusable.splitlines()}
    assert reasons.keys() == BROKEN.keys()
    assert all(" broken " in line for line in reasons.values())
    assert "RuntimeError: it rained" in reasons["raises"]
    assert "SystemExit: bye" in reasons["leaves"]
    assert "a_module_that_nobody_has" in reasons["lacks"]
    assert "empty_plugin" in reasons["empty"]
    assert all(f"(gvt-{name} 1.0)" in line for name, line in reasons.items())


def test_an_installed_plugin_can_be_shown(install, gvt_command):
    install("gvt-one-layer", {"one": "one_layer"}, one_layer=PLUGIN)
    done = gvt_command("show", "one_layer")
    assert (done.returncode, done.stderr) == (0, "")
    assert "plugin one, gvt-one-layer 1.0" in done.stdout
    assert "latent  int  default 8" in done.stdout
    assert "7,056 parameters" in done.stdout


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


def test_a_component_whose_code_is_broken_shows_its_traceback(install, gvt_command):
    source = PLUGIN.replace("one_layer", "shaky").replace('f"{__name__}:', '"shaky_code:')
    source = source.replace("from gvt import Generator", "Generator = nn.Module")
    install("gvt-shaky", {"shaky": "shaky"}, shaky=source, shaky_code="import nothing_of_the_kind")
    done = gvt_command("show", "generator:shaky")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback")
    assert "shaky_code.py" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: generator 'shaky' from gvt-shaky 1.0")


def test_a_blocked_plugin_is_listed_as_such(install, gvt_command):
    install("gvt-raises", {"raises": "raises_plugin"}, raises_plugin=BROKEN["raises"])
    out = gvt_command("list", GVT_BLOCK_PLUGINS="raises,gan").stdout
    blocked = [line.split()[0] for line in out.splitlines() if " blocked " in line]
    assert blocked == ["gan", "raises"]
    assert "dcgan" not in out
    assert "small_cnn" in out


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
def test_a_broken_plugin_file_shows_where_it_broke(gvt_command, tmp_path, debug):
    path = tmp_path / "elsewhere" / "broken_file.py"
    path.parent.mkdir()
    path.write_text("def deep():\n    raise RuntimeError('it rained')\n\ndeep()\n")
    done = gvt_command("list", "--plugin", path, *debug)
    assert (done.returncode, done.stdout) == (2, "")
    assert f'{path}", line 2, in deep' in done.stderr
    assert "it rained" in done.stderr.splitlines()[-1]


def test_a_plugin_file_in_the_current_folder_is_found(gvt_command, tmp_path):
    """Python itself has that folder on its path, after `python -m gvt`."""
    source = "from gvt_registry import Component, hookimpl\n@hookimpl\ndef gvt_components():\n"
    source += "    return Component('head', 'here', 'json:loads', summary='Beside')\n"
    (tmp_path / "beside.py").write_text(source)
    done = gvt_command("list", "head", "--plugin", "beside.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "here" in done.stdout


@pytest.mark.parametrize("content", [None, b"raise RuntimeError", b"a: \xff"])
def test_a_recipe_that_cannot_be_read_is_one_line(install, gvt_command, content):
    """It is missing, its package is broken, or it is not UTF-8."""
    source = """
    from gvt_registry import Component, hookimpl

    @hookimpl
    def gvt_components():
        return [Component("recipe", "odd", "odd_package:odd.yaml", summary="Odd")]
    """
    package = install("gvt-odd", {"odd": "odd_plugin"}, odd_plugin=source) / "odd_package"
    package.mkdir()
    if content is not None:
        is_code = content.startswith(b"raise")
        (package / ("__init__.py" if is_code else "odd.yaml")).write_bytes(content)
    done = gvt_command("config", "odd")
    assert done.returncode in (1, 2)
    assert "odd" in done.stderr.splitlines()[-1]
    assert "--debug" not in done.stderr  # which is offered for errors that nobody expected


INTERRUPTING = """
import os, signal
from gvt_registry import hookimpl

@hookimpl
def gvt_step_ended(step):
    if step == 2:
        os.kill(os.getpid(), signal.{signal})
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send to oneself")
@pytest.mark.parametrize("signal", ["SIGINT", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_an_interrupted_run_prints_the_line_that_resumes(gvt_command, tmp_path, signal):
    path = tmp_path / "elsewhere" / "interrupting.py"
    path.parent.mkdir()
    path.write_text(INTERRUPTING.format(signal=signal))
    command = ("run", "gan.mnist", *FASTER, "train.steps=9", "--plugin", path)
    done = gvt_command(*command, GVT_BLOCK_PLUGINS="report,tensorboard")
    assert done.returncode == 130
    folder = next((tmp_path / "runs" / "gan.mnist").iterdir()).relative_to(tmp_path)
    assert f"gvt resume {folder}" in done.stderr
    assert "Traceback" not in done.stderr


# Pipes


def test_a_closed_pipe_is_not_an_error(tmp_path):
    """As in `gvt list | head -1`, with a reader that exits before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        command = [sys.executable, "-m", "gvt", "list"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert done.returncode in (0, 1)  # not 120, Python's own for output that it could not flush
    assert done.stderr == b""


@pytest.mark.parametrize("arguments", ["--help", "list", "lst"])
def test_output_to_a_pipe_has_no_control_codes(gvt_command, arguments):
    done = gvt_command(*arguments.split())
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
