"""Plugins are loaded one by one: whatever one of them does, the others stay."""

import hashlib
import json
import re
import subprocess
import sys

import pytest

from gvt_registry import API_VERSION, Plugins, Registry, UsageError

GOOD = """
from gvt_registry import Component, hookimpl

@hookimpl
def gvt_components():
    return [Component("generator", "good", "json:JSONDecoder", summary="It works")]

@hookimpl
def gvt_run_started(run):
    return f"good saw {run}"
"""


@pytest.fixture
def good(install):
    """Install a plugin that works, which no other may harm."""
    install("gvt-good", {"good": "good_plugin"}, good_plugin=GOOD)


def load(plugins=None):
    """Return all plugins by name, after making sure that the good one works."""
    plugins = plugins or Plugins()
    by_name = {p.name: p for p in plugins}
    assert by_name["good"].state == "ok"
    assert "good" in [o.component.name for o in Registry(plugins).offers("generator")]
    return by_name


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("raise KeyError", "KeyError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import a_module_that_nobody_has", "ModuleNotFoundError: No module named"),
        ("def broken(:", "SyntaxError"),
        (
            "from gvt_registry import hookimpl\n@hookimpl\ndef gvt_run_started(rum): pass",
            "PluginValidationError",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_broken_and_alone(good, install, source, problem):
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin=source)
    bad = load()["bad"]
    assert (bad.state, bad.module, bad.origin) == ("broken", None, "gvt-bad 1.0")
    assert bad.problem.startswith(problem)
    assert "\n" not in bad.problem
    assert bad.details.startswith("Traceback")


@pytest.mark.parametrize("target", ["no_such_module", "bad_plugin:nothing", "bad_plugin.deeper"])
def test_an_entry_point_to_nothing_is_broken(good, install, target):
    install("gvt-bad", {"bad": target}, bad_plugin="")
    assert load()["bad"].state == "broken"


@pytest.mark.parametrize("value", ["5", "'text'", "None", "object()", "type('S', (), {})"])
def test_an_entry_point_to_what_is_no_module_harms_nobody(good, install, value):
    install("gvt-bad", {"bad": "bad_plugin:thing"}, bad_plugin=f"thing = {value}")
    assert "bad" in load()


@pytest.mark.parametrize(
    "body",
    [
        "raise RuntimeError('no')",
        "raise SystemExit(1)",
        "return 5",
        "return 'generator'",
        "return [('generator', 'x', 'a:b')]",
        "return [Component('sausage', 'x', 'a:b')]",
        "yield Component('generator', 'x', 'a:b'); raise RuntimeError('late')",
    ],
)
def test_components_that_raise_or_are_rubbish_break_the_plugin(good, install, body):
    source = f"""
    from gvt_registry import Component, hookimpl

    @hookimpl
    def gvt_components():
        {body}
    """
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin=source)
    plugins = Plugins()
    load(plugins)
    bad = {p.name: p for p in plugins}["bad"]
    assert bad.state == "broken"
    assert bad.problem
    assert bad.details.startswith("Traceback")
    assert "x" not in [o.component.name for o in Registry(plugins).offers()]


def test_a_misspelled_hook_is_reported_with_the_nearest(good, install):
    source = "from gvt_registry import hookimpl\n@hookimpl\ndef gvt_component(): return []"
    install("gvt-typo", {"typo": "typo_plugin"}, typo_plugin=source)
    typo = load()["typo"]
    assert typo.state == "ok"
    assert [("'gvt_component'" in w, "'gvt_components'" in w) for w in typo.warnings] == [
        (True, True)
    ]


def test_a_hook_without_its_mark_is_reported(good, install):
    install("gvt-bare", {"bare": "bare_plugin"}, bare_plugin="def gvt_components(): return []")
    assert [("gvt_components" in w, "hookimpl" in w) for w in load()["bare"].warnings] == [
        (True, True)
    ]


def test_a_plugin_that_is_right_has_no_warnings(good):
    assert load()["good"].warnings == []


def test_our_own_plugins_have_no_warnings():
    ours = [p for p in Plugins() if p.distribution == "gvt"]
    assert {"core", "data", "gan", "classify", "backbones"} <= {p.name for p in ours}
    assert [(p.name, p.state, p.warnings) for p in ours if p.state != "ok" or p.warnings] == []


@pytest.mark.parametrize("version", [API_VERSION - 1, API_VERSION + 1])
def test_a_plugin_for_another_api_is_incompatible(good, install, version):
    install("gvt-alien", {"alien": "alien_plugin"}, alien_plugin=f"gvt_api = {version}\n{GOOD}")
    alien = load()["alien"]
    assert alien.state == "incompatible"
    assert alien.module is None
    for part in (f"version {version}", f"version {API_VERSION}", "gvt-alien"):
        assert part in alien.problem


def test_an_api_version_of_another_type_does_not_look_like_the_right_one(good, install):
    install("gvt-alien", {"alien": "alien_plugin"}, alien_plugin=f"gvt_api = '{API_VERSION}'")
    assert f"'{API_VERSION}'" in load()["alien"].problem


def test_a_plugin_for_this_api_is_ok(good, install):
    install("gvt-mine", {"mine": "mine_plugin"}, mine_plugin=f"gvt_api = {API_VERSION}")
    assert load()["mine"].state == "ok"


@pytest.mark.parametrize("listed", ["bad", "other, bad ,", "gvt-bad:bad,bad"])
def test_a_blocked_plugin_is_never_imported(good, install, monkeypatch, listed):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", listed)
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin="raise RuntimeError")
    bad = load()["bad"]
    assert (bad.state, bad.module) == ("blocked", None)
    assert "GVT_BLOCK_PLUGINS" in bad.problem
    assert "bad_plugin" not in sys.modules


def test_two_entry_points_of_one_name_are_both_loaded(good, install):
    install("gvt-twin", {"good": "twin_plugin"}, twin_plugin=GOOD.replace('"good"', '"twin"'))
    plugins = load()
    assert {p.distribution for n, p in plugins.items() if n.endswith("good")} == {
        "gvt-good",
        "gvt-twin",
    }
    assert plugins["gvt-twin:good"].state == "ok"


def test_without_entry_points_there_are_no_plugins(good):
    assert list(Plugins(entry_points=False)) == []


LOUD = """
import json
json.imported = [*getattr(json, "imported", []), __name__]
"""


@pytest.fixture
def imported(install, monkeypatch):
    """Install two plugins, and return the list that they enter when they are imported."""
    monkeypatch.setattr(json, "imported", [], raising=False)
    install("gvt-one", {"one": "plugin_one"}, plugin_one=LOUD)
    install("gvt-two", {"two": "plugin_two"}, plugin_two=LOUD)
    return lambda: [*json.imported]


def own_applications():
    """Return the names of gvt's own plugins that offer no components."""
    plugins = Plugins()
    own = [p for p in plugins if p.distribution == "gvt"]
    return {p.name for p in own if "gvt_components" not in plugins.hooks_of(p)}


def test_only_what_is_named_is_imported(imported):
    plugins = Plugins()
    plugins.restrict(["two", "data"])
    states = {p.name: p.state for p in plugins}
    assert imported() == ["plugin_two"]
    named = {n for n, state in states.items() if state == "ok"} - own_applications()
    assert named == {"two", "data"}
    left_out = next(p for p in plugins if p.name == "one")
    assert (left_out.state, left_out.problem) == ("blocked", "not named in --only-plugins")
    assert plugins.only == ("two", "data")


def test_what_belongs_to_the_tool_stays_unless_it_is_blocked(imported, monkeypatch):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report")
    plugins = Plugins()
    plugins.restrict(["gan", "data"])
    states = {p.name: (p.state, p.problem) for p in plugins}
    assert states["report"] == ("blocked", "named in GVT_BLOCK_PLUGINS")
    assert states["tensorboard"] == ("ok", "")
    assert states["one"] == states["classify"] == ("blocked", "not named in --only-plugins")
    assert imported() == []  # one that offers nothing is no part of the tool if it is another's


def test_the_environment_may_name_them(imported, monkeypatch):
    monkeypatch.setenv("GVT_ONLY_PLUGINS", "one")
    plugins = Plugins()
    assert plugins.only == ("one",)
    assert imported() == ["plugin_one"]
    assert "GVT_ONLY_PLUGINS" in next(p for p in plugins if p.name == "gan").problem


def test_what_is_blocked_stays_so_if_it_is_named(imported, monkeypatch):
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "one")
    plugins = Plugins()
    plugins.restrict(["one"])
    assert next(p for p in plugins if p.name == "one").problem == "named in GVT_BLOCK_PLUGINS"
    assert imported() == []


def test_without_a_restriction_there_is_none(good):
    assert Plugins().only is None


def test_a_name_that_no_plugin_has_imports_nothing(imported):
    plugins = Plugins()
    plugins.restrict(["one", "twoo"])
    for _ in range(2):  # also when somebody asks again
        with pytest.raises(UsageError, match=r"--only-plugins: .*'twoo'.*'two'"):
            list(plugins)
    assert imported() == []


def test_a_restriction_has_to_name_something(good):
    with pytest.raises(UsageError, match="at least one"):
        Plugins().restrict([])


def test_a_restriction_that_comes_too_late_is_refused(good):
    plugins = Plugins()
    plugins.restrict(["good"])
    assert plugins.only == ("good",)
    plugins.restrict(["good"])
    with pytest.raises(UsageError, match="too late"):
        plugins.restrict(["gan"])


def test_a_file_may_be_loaded_before_others_are_left_out(imported, plugin_file):
    """`--plugin FILE --only-plugins two`, in whichever order."""
    plugins = Plugins()
    plugin = plugins.load_file(plugin_file("from_a_file.py", GOOD))
    assert imported() == []
    plugins.restrict(["two", "from_a_file"])
    named = [p.name for p in plugins if p.state == "ok" and p.distribution != "gvt"]
    assert named == ["two", "from_a_file"]
    assert [*plugins][-1] is plugin
    assert imported() == ["plugin_two"]


def test_a_file_is_known_by_its_hash(plugin_file):
    path = plugin_file("from_a_file.py", GOOD)
    plugin = Plugins(entry_points=False).load_file(path)
    assert plugin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hooks_of_a_plugin_are_known(good):
    plugins = Plugins()
    by_name = {p.name: p for p in plugins}
    assert plugins.hooks_of(by_name["good"]) == {"gvt_components", "gvt_run_started"}
    assert plugins.follows_runs(by_name["good"])
    assert not plugins.follows_runs(by_name["core"])


def test_each_call_of_a_hook_is_traced_also_one_that_raises(install):
    source = "from gvt_registry import hookimpl\n@hookimpl\ndef gvt_names(): "
    install("gvt-fine", {"fine": "fine_plugin"}, fine_plugin=f"{source} return {{}}")
    install("gvt-odd", {"odd": "odd_plugin"}, odd_plugin=f"{source} raise ValueError")
    plugins, lines = Plugins(), []
    plugins.trace = lines.append
    plugins.implementations("gvt_names")
    assert lines == []  # nothing is called yet
    list(plugins.call("gvt_names"))
    expected = [rf"gvt_names  {name}  \d+\.\d ms" for name in ("fine", "odd")]
    ours = [line for line in lines if line.split()[1] in ("fine", "odd")]
    assert all(re.fullmatch(*pair) for pair in zip(expected, ours, strict=True))


def test_the_api_version_is_known_once_it_is_imported(install):
    install("gvt-old", {"old": "old_plugin"}, old_plugin="gvt_api = 0")
    install("gvt-bad", {"bad": "bad_plugin"}, bad_plugin="raise RuntimeError")
    versions = {p.name: p.api for p in Plugins()}
    assert (versions["old"], versions["core"], versions["bad"]) == (0, API_VERSION, None)


NOISY = """
from gvt_registry import hookimpl

@hookimpl
def gvt_run_started(run):
    raise {error}

@hookimpl
def gvt_run_ended(outcome):
    return f"noisy saw {{outcome}}"
"""


@pytest.fixture
def only_ours(monkeypatch):
    """Keep gvt's own plugins with run hooks out of what is called."""
    monkeypatch.setenv("GVT_BLOCK_PLUGINS", "report,tensorboard")


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("error", ["RuntimeError('ouch')", "SystemExit(4)"])
def test_a_hook_that_raises_is_muted_and_stops_nobody(good, install, error):
    install("gvt-noisy", {"noisy": "noisy_plugin"}, noisy_plugin=NOISY.format(error=error))
    plugins = Plugins()
    answers = {p.name: answer for p, answer in plugins.call("gvt_run_started", run=7)}
    assert answers["good"] == "good saw 7"
    assert repr(answers["noisy"]) == error

    again = {p.name: answer for p, answer in plugins.call("gvt_run_started", run=8)}
    assert again == {"good": "good saw 8"}
    ended = plugins.call("gvt_run_ended", run=8, outcome="success", error=None)
    assert {p.name: answer for p, answer in ended} == {"noisy": "noisy saw success"}

    noisy = {p.name: p for p in plugins}["noisy"]
    assert noisy.state == "ok"
    assert ["gvt_run_started" in w and type(answers["noisy"]).__name__ in w for w in noisy.warnings]
    assert noisy.details.startswith("Traceback")


@pytest.mark.usefixtures("only_ours")
def test_a_hook_is_called_with_the_arguments_that_it_declares(install):
    source = """
    from gvt_registry import hookimpl

    @hookimpl
    def gvt_run_ended(error, run):
        return (error, run)
    """
    install("gvt-few", {"few": "few_plugin"}, few_plugin=source)
    answers = Plugins().call("gvt_run_ended", run=1, outcome="success", error=None)
    assert [answer for _, answer in answers] == [(None, 1)]


@pytest.fixture
def plugin_file(tmp_path):
    """Return what writes a plugin file, whose module is forgotten after the test."""
    folder = tmp_path / "files"
    folder.mkdir()
    before = set(sys.modules)

    def write(name, source):
        path = folder / name
        path.write_text(source, encoding="utf-8")
        return path

    yield write
    for module in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


def test_a_file_is_a_plugin(plugin_file):
    path = plugin_file("from_a_file.py", GOOD)
    plugins = Plugins(entry_points=False)
    plugin = plugins.load_file(path)
    assert (plugin.name, plugin.state, plugin.origin) == ("from_a_file", "ok", str(path.resolve()))
    assert [o.distribution for o in Registry(plugins).offers()] == [str(path.resolve())]
    assert sys.modules["from_a_file"] is plugin.module


def test_a_file_loaded_twice_is_there_once(plugin_file, monkeypatch):
    path = plugin_file("from_a_file.py", GOOD)
    plugins = Plugins(entry_points=False)
    first = plugins.load_file(path)
    monkeypatch.chdir(path.parent)
    assert plugins.load_file("from_a_file.py") is first
    assert len(list(plugins)) == 1
    assert len(Registry(plugins).offers()) == 1


@pytest.mark.parametrize("name", ["absent.py", "folder.py"])
def test_a_file_that_is_none_is_refused(tmp_path, name):
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UsageError, match=name):
        Plugins(entry_points=False).load_file(tmp_path / name)


@pytest.mark.parametrize("name", ["with-dash.py", "plugin.txt", "1st.py", "two.dots.py"])
def test_a_file_that_cannot_be_a_module_is_refused(plugin_file, name):
    with pytest.raises(UsageError, match=r"my_plugin\.py"):
        Plugins(entry_points=False).load_file(plugin_file(name, GOOD))


@pytest.mark.parametrize("name", ["json.py", "colorsys.py"])
def test_a_file_named_as_a_module_is_refused(plugin_file, name):
    """Whether that module is imported already, or could be."""
    with pytest.raises(UsageError, match="rename"):
        Plugins(entry_points=False).load_file(plugin_file(name, GOOD))


def test_a_file_named_as_a_plugin_is_refused(good, plugin_file):
    with pytest.raises(UsageError, match="rename"):
        Plugins().load_file(plugin_file("good.py", GOOD))


def test_a_file_beside_which_python_runs_can_be_loaded(plugin_file, monkeypatch):
    """`python -m gvt` and notebooks have the current folder on their path."""
    path = plugin_file("beside.py", GOOD)
    monkeypatch.syspath_prepend(path.parent)
    assert Plugins(entry_points=False).load_file(path).state == "ok"


@pytest.mark.parametrize("source", ["raise RuntimeError('here')", "raise SystemExit", "(("])
def test_a_broken_file_is_refused_with_its_traceback(plugin_file, source):
    path = plugin_file("broken_file.py", source)
    plugins = Plugins(entry_points=False)
    with pytest.raises(UsageError, match=r"broken_file\.py.*broken") as caught:
        plugins.load_file(path)
    assert str(path) in caught.value.details
    assert "broken_file" not in sys.modules
    assert list(plugins) == []


def test_a_mended_file_can_be_loaded(plugin_file):
    """In a notebook: load, read the error, mend, load again."""
    wrong = GOOD.replace("def gvt_run_started(run)", "def gvt_run_started(rum)")
    plugins = Plugins(entry_points=False)
    with pytest.raises(UsageError, match="rum"):
        plugins.load_file(plugin_file("to_mend.py", wrong))
    assert plugins.load_file(plugin_file("to_mend.py", GOOD + "\n# mended\n")).state == "ok"


def test_the_registry_imports_nothing_heavy():
    program = (
        "import sys, gvt_registry; gvt_registry.default_registry().offers();"
        "heavy = {'torch', 'torchvision', 'numpy', 'click', 'pydantic', 'rich', 'matplotlib'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
