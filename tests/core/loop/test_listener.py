"""Plugins follow a run by hooks; one that raises is reported and stops nothing."""

import sys

import pytest

import gvt
from gvt.loop.listener import HookError
from gvt.runs.folder import RunFolder
from gvt_registry import Plugins, Registry

SMALL = ["data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8"]


class Follower:
    """Remembers every run hook's call."""

    def __init__(self):
        self.seen = []

    def gvt_run_started(self, run):
        self.seen.append(("started", run.step, run.folder.name))

    def gvt_step_ended(self, run, step, losses):
        self.seen.append(("step", step, sorted(losses)))

    def gvt_epoch_ended(self, epoch):
        self.seen.append(("epoch", epoch))

    def gvt_evaluated(self, step, split, metrics):
        self.seen.append(("evaluated", step, metrics["accuracy"], split))

    def gvt_checkpoint_saved(self, run, path):
        self.seen.append(("saved", run.step, path.name))

    def gvt_run_ended(self, outcome, error):
        self.seen.append(("ended", outcome, type(error).__name__))


@pytest.fixture
def follower(tmp_path, monkeypatch):
    """Install the follower as a plugin file, which is how code gets in from outside."""
    file = tmp_path / "follower_plugin.py"
    file.write_text(
        "from gvt_registry import hookimpl\n"
        "follower = None\n"
        + "".join(
            f"@hookimpl\ndef gvt_{name}({arguments}):\n    follower.gvt_{name}({arguments})\n"
            for name, arguments in [
                ("run_started", "run"),
                ("step_ended", "run, step, losses"),
                ("epoch_ended", "epoch"),
                ("evaluated", "step, split, metrics"),
                ("checkpoint_saved", "run, path"),
                ("run_ended", "outcome, error"),
            ]
        )
    )
    plugins = Plugins()
    plugin = plugins.load_file(file)
    plugin.module.follower = Follower()
    registry = Registry(plugins)
    monkeypatch.setattr("gvt.session.training.default_registry", lambda: registry)
    yield plugin.module.follower
    del sys.modules["follower_plugin"]


@pytest.mark.slow
def test_hooks_carry_the_whole_run(follower, tmp_path):
    run = gvt.run(
        *("classify.mnist", "data.classes=[3, 5]", "data.holdout=59500", "train.epochs=2"),
        "data.batch_size=40",
        *("evaluate.split=test", "evaluate.final=null", f"run.root={tmp_path}"),
        quiet=True,
    )
    accuracies = [e[2] for e in follower.seen if e[0] == "evaluated"]
    losses = ["cross_entropy"]
    assert follower.seen == [
        ("started", 0, run.folder.name),
        ("step", 1, losses),
        ("step", 2, losses),
        ("epoch", 1),
        ("evaluated", 2, accuracies[0], "test"),
        ("saved", 2, "last.safetensors"),
        ("step", 3, losses),
        ("step", 4, losses),
        ("epoch", 2),
        ("evaluated", 4, accuracies[1], "test"),
        ("saved", 4, "last.safetensors"),
        ("ended", "success", "NoneType"),
    ]
    assert accuracies[1] == run.metrics["test/accuracy"]


def raising(*_):
    raise RuntimeError("no more\npaper")


def test_a_hook_that_raises_is_reported_once_a_run_and_changes_nothing(
    follower, tmp_path, capsys, same_tensors
):
    overrides = [*SMALL, "train.steps=3", f"run.root={tmp_path}"]
    quiet = gvt.run("gan.mnist", *overrides, quiet=True)
    follower.gvt_step_ended = raising
    for _ in range(2):  # in one process, as in a notebook
        follower.seen.clear()
        run = gvt.run("gan.mnist", *overrides)
        shown = capsys.readouterr().err
        assert shown.count("gvt_step_ended raised RuntimeError: no more paper; it is switched") == 1
        assert "follower_plugin" in shown
        assert run.outcome == "success"
        assert follower.seen[-1] == ("ended", "success", "NoneType")
        same_tensors(quiet.checkpoint, run.checkpoint)


def test_what_a_hook_left_undone_when_it_raised_is_put_back(follower, tmp_path, same_tensors):
    """Dropout and batch norm would go on as in eval mode."""
    overrides = [*SMALL, "discriminator.dropout=0.5", "train.steps=3", f"run.root={tmp_path}"]
    undisturbed = gvt.run("gan.mnist", *overrides, quiet=True)

    def half_way(run, step, losses):
        run.task.eval()
        raising()

    follower.gvt_step_ended = half_way
    with pytest.warns(UserWarning, match="no more paper"):
        run = gvt.run("gan.mnist", *overrides, quiet=True)
    same_tensors(undisturbed.checkpoint, run.checkpoint)


def test_a_hook_that_raises_may_stop_the_run(follower, tmp_path, capsys, same_tensors):
    """As Ctrl-C does: what goes on from there ends with the same bits."""
    overrides = [*SMALL, "train.steps=4", f"run.root={tmp_path}", "run.hook_errors=stop"]
    undisturbed = gvt.run("gan.mnist", *overrides, quiet=True)
    follower.gvt_step_ended = lambda run, step, losses: step == 2 and raising()
    with pytest.raises(HookError) as caught:
        gvt.run("gan.mnist", *overrides)
    message = str(caught.value)
    folder = RunFolder.latest(tmp_path).path
    for part in (
        "'follower_plugin'",
        "no more paper",
        "after step 2 and saved",
        f"resume {folder}",
    ):
        assert part in message
    assert "\n" not in message
    assert caught.value.exit_code == 1
    assert "in raising" in caught.value.details
    assert capsys.readouterr().err.count("run.hook_errors is stop") == 1
    assert follower.seen[-1] == ("ended", "failure", "HookError")

    follower.gvt_step_ended = lambda run, step, losses: None
    resumed = gvt.resume(folder, quiet=True)
    assert resumed.step == 4
    same_tensors(undisturbed.checkpoint, resumed.checkpoint)


@pytest.mark.parametrize("hook", ["gvt_run_ended", "gvt_checkpoint_saved"])
def test_a_hook_that_raises_when_the_run_is_complete_is_an_error_all_the_same(
    follower, tmp_path, hook
):
    setattr(follower, hook, raising)
    overrides = [*SMALL, "train.steps=2", f"run.root={tmp_path}", "run.hook_errors=stop"]
    with (
        pytest.warns(UserWarning, match=hook),
        pytest.raises(HookError, match=rf"'follower_plugin'.*{hook} .*; the run is complete$"),
    ):
        gvt.run("gan.mnist", *overrides, quiet=True)
    folder = RunFolder.latest(tmp_path)
    assert folder.report.is_file()
    setattr(follower, hook, lambda *_: None)
    assert gvt.resume(folder.path, "train.steps=3", quiet=True).step == 3


def test_a_hook_that_raises_after_a_failure_leaves_it_the_first_word(follower, tmp_path):
    follower.gvt_run_ended = raising
    with (
        pytest.warns(UserWarning, match="no more paper"),
        pytest.raises(gvt.NonFiniteError),
    ):
        gvt.run(
            *("gan.mnist", *SMALL, "train.steps=30", "train.log_every=1", f"run.root={tmp_path}"),
            *("optimizers.generator.name=SGD", "optimizers.generator.lr=1e30"),
            "run.hook_errors=stop",
            quiet=True,
        )


def test_a_failure_is_told(follower, tmp_path):
    with pytest.raises(gvt.NonFiniteError):
        gvt.run(
            *("gan.mnist", *SMALL, "train.steps=30", "train.log_every=1", f"run.root={tmp_path}"),
            "optimizers.generator.name=SGD",
            "optimizers.generator.lr=1e30",
            quiet=True,
        )
    assert follower.seen[-1] == ("ended", "failure", "NonFiniteError")
