"""What a plugin file learns of a run, and of an evaluation after it, through the hooks alone."""

import inspect
import json
import sys

import pytest

import gvt
from gvt.loop.listener import Event, Run
from gvt_registry import Plugins, Registry, UsageError, hookspecs
from gvt_registry.plugins import RUN_HOOKS

PLUGIN = """
import json

from gvt_registry import hookimpl

FILE = {file!r}


def note(**values):
    with open(FILE, "a") as file:
        print(json.dumps(values), file=file)


@hookimpl
def gvt_run_started(run):
    batch = run.examples(3)
    note(classes=list(run.info.classes), images=list(batch.images.shape), step=run.step)
    note(targets=sorted(batch.targets.per_image(len(batch))[0]))


@hookimpl
def gvt_run_ended(run):
    note(same=run.examples(3).images.equal(run.examples(3).images), count=len(run.examples(70)))


@hookimpl
def gvt_checkpoint_evaluated(folder, split, step, evaluation, run_folder):
    there = (folder / f"{{split}}.json").is_file()
    run = None if run_folder is None else run_folder.name
    note(there=there, step=step, accuracy=evaluation.metrics["accuracy"], run=run, to=folder.name)
    {then}
"""

SMALL = (
    *("classify.mnist", "train.steps=2", "data.holdout=200", "data.batch_size=50"),
    *("evaluate.split=null", "evaluate.best=null", "evaluate.final=val"),
)


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """Return what installs the plugin, and gives the function that reads what it has noted."""
    file = tmp_path / "noted.jsonl"

    def install(then="pass"):
        source = tmp_path / "noting_plugin.py"
        source.write_text(PLUGIN.format(file=str(file), then=then))
        plugins = Plugins()
        plugins.load_file(source)
        registry = Registry(plugins)
        for module in ("training", "judging"):
            monkeypatch.setattr(f"gvt.session.{module}.default_registry", lambda: registry)
        return lambda: [json.loads(line) for line in file.read_text().splitlines()]

    yield install
    sys.modules.pop("noting_plugin", None)


def test_a_plugin_learns_of_the_data_and_of_an_evaluation_after_the_run(noted, tmp_path):
    read = noted()
    run = gvt.run(*SMALL, f"run.root={tmp_path}", quiet=True)
    assert read() == [
        {"classes": [str(n) for n in range(10)], "images": [3, 1, 28, 28], "step": 0},
        {"targets": ["class"]},
        {"same": True, "count": 70},
    ]
    found = gvt.evaluate_checkpoint(run.folder)
    gvt.evaluate_checkpoint(run.folder, out=tmp_path / "apart")
    gvt.evaluate_checkpoint(run.folder, averaged=False)  # is not the run's own, and kept nowhere
    about = {"there": True, "step": 2, "accuracy": found.metrics["accuracy"]}
    assert read()[3:] == [
        about | {"run": run.folder.name, "to": "evaluation"},
        about | {"run": None, "to": "apart"},
    ]


def test_a_hook_that_raises_after_an_evaluation_is_a_warning(noted, tmp_path):
    noted("raise RuntimeError('no ink')")
    run = gvt.run(*SMALL, f"run.root={tmp_path}", quiet=True)
    with pytest.warns(UserWarning, match=r"'noting_plugin': gvt_checkpoint_evaluated .*no ink"):
        found = gvt.evaluate_checkpoint(run.folder)
    assert 0 <= found.metrics["accuracy"] <= 1


def test_a_run_that_has_ended_keeps_no_data(noted, tmp_path):
    noted()
    run = gvt.run(*SMALL, f"run.root={tmp_path}", quiet=True)
    assert run.loader is None
    assert run.info.classes == tuple("0123456789")
    with pytest.raises(UsageError, match="only while it is in progress"):
        run.examples(1)


class Some(gvt.Listener):
    """Follows two events, with some of their arguments."""

    def __init__(self):
        self.heard = []

    def losses_read(self, rows):
        self.heard.append(rows)

    def epoch_ended(self, run, epoch):
        self.heard.append((run.step, epoch))


def test_a_listener_hears_the_events_that_it_has_methods_for():
    run, some = Run(None, 9, 3, 4, step=3), Some()
    some.hear(Event.of(hookspecs.gvt_losses_read, run, [(3, {"a": 1.0})]))
    some.hear(Event.of(hookspecs.gvt_step_ended, run, 3, {}))
    some.hear(Event.of(hookspecs.gvt_epoch_ended, run, epoch=1))
    assert some.heard == [[(3, {"a": 1.0})], (3, 1)]


def test_an_event_has_all_arguments_of_its_hook():
    with pytest.raises(TypeError, match="losses"):
        Event.of(hookspecs.gvt_step_ended, Run(None, 9, 3, 4), 3)


def test_events_are_the_hooks_of_a_run():
    assert {"gvt_run_started", "gvt_run_ended"} <= {*RUN_HOOKS}
    assert "gvt_checkpoint_evaluated" not in RUN_HOOKS
    specs = [inspect.signature(getattr(hookspecs, hook)) for hook in RUN_HOOKS]
    assert {next(iter(spec.parameters)) for spec in specs} == {"run"}
