"""Signals as requests; what the loop makes of them is in test_trainer.py."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from gvt.loop.signals import stop_requests

TWICE = """
import signal
from gvt_registry import hookimpl

@hookimpl
def gvt_step_ended(step):
    if step == {step}:
        signal.raise_signal(signal.SIGINT)

@hookimpl
def gvt_run_ended():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    print("never said")
"""


def test_the_first_is_noted_and_the_second_aborts(capfd):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_requests() as request:
        assert not request.made
        signal.raise_signal(signal.SIGTERM)
        assert request.made
        assert "finishing this step, then saving" in capfd.readouterr().err
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
    assert capfd.readouterr().err == ""


def test_after_the_steps_the_answer_is_another(capfd):
    with stop_requests() as request:
        request.steps_are_over()
        signal.raise_signal(signal.SIGINT)
    said = capfd.readouterr().err
    assert "press again to skip the rest" in said
    assert "this step" not in said


def test_elsewhere_than_in_the_main_thread_signals_keep_their_meaning():
    before, found = signal.getsignal(signal.SIGINT), []

    def inside():
        with stop_requests() as request:
            found.append((request.made, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [(False, before)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows says it in other words")
@pytest.mark.parametrize(("step", "code"), [(1, 130), (99, 0)])
@pytest.mark.usefixtures("undrawn_processes")
def test_how_a_run_ended_is_told_whoever_aborts_the_rest(step, code, tmp_path):
    plugin = tmp_path / "twice.py"
    plugin.write_text(TWICE.format(step=step))
    small = ("data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8")
    command = [sys.executable, "-m", "gvt", "run", "gan.mnist", "train.steps=2", *small]
    done = subprocess.run(
        [*command, "--plugin", plugin], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "never said" not in done.stdout
    assert "warning: asked once more to stop" in done.stderr
    if code:
        assert "stopped after step 1 and saved; continue with: gvt resume" in done.stderr
    else:
        assert "last.safetensors" in done.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_closed_terminal_is_a_request_and_never_a_second_one(capfd):
    with stop_requests() as request:
        signal.raise_signal(signal.SIGHUP)
        assert request.made
        assert request.hung_up
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)  # as a system sends both when a session ends
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    assert capfd.readouterr().err.count("finishing this step") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request.made
    finally:
        signal.signal(signal.SIGHUP, before)
