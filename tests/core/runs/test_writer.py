"""The lock on a run's folder: one writer at a time, and who it is."""

import os
import signal
import socket
import subprocess
import sys
from textwrap import dedent

import filelock
import pytest

import gvt
from gvt.cli.main import main
from gvt.runs.writer import LOCK, NOTE, sole_writer

HOLDER = """
    import sys, time
    from pathlib import Path
    from gvt.runs.writer import sole_writer

    with sole_writer(Path(sys.argv[1]), "trained"):
        print("holds", flush=True)
        time.sleep(600)
"""

# A child that lives on, as workers do for some seconds.
FORKING = """
    import os, sys, time
    from pathlib import Path
    from gvt.runs.writer import sole_writer

    with sole_writer(Path(sys.argv[1]), "trained"):
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
        print("holds", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def hold(tmp_path):
    """Let another process hold the lock of a folder; return it."""
    processes = []

    def hold(program=HOLDER):
        command = [sys.executable, "-c", dedent(program), tmp_path]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout.readline() == "holds\n"
        return processes[-1]

    yield hold
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def call(monkeypatch, capfd):
    """Return what runs gvt in this process: (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gvt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capfd.readouterr()

    return run


def test_a_second_writer_is_told_who_the_first_one_is(hold, tmp_path):
    process = hold()
    expected = f"run {tmp_path} is being trained by process {process.pid} on {socket.gethostname()}"
    for _ in range(2):  # asking changes nothing
        with pytest.raises(gvt.RunInUseError, match=expected), sole_writer(tmp_path, "evaluated"):
            pass


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_writer_is_none(hold, tmp_path):
    process = hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with sole_writer(tmp_path, "trained"):
        assert str(os.getpid()) in (tmp_path / NOTE).read_text()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_what_a_killed_writer_has_left_running_is_waited_for(hold, tmp_path):
    process = hold(FORKING)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with sole_writer(tmp_path, "trained"):
        pass


def test_within_one_thread_it_can_be_taken_again(tmp_path, hold):
    with sole_writer(tmp_path, "trained"):
        with sole_writer(tmp_path, "reported"):
            pass
        assert '"trained"' in (tmp_path / NOTE).read_text()
    assert not (tmp_path / NOTE).exists()
    hold()  # it is free


def test_without_locks_a_warning_says_so_and_it_goes_on(monkeypatch, tmp_path):
    def fails(*_, **__):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", fails)
    expected = "cannot be locked: No locks available; take care"
    with pytest.warns(UserWarning, match=expected), sole_writer(tmp_path, "trained"):
        pass


def test_a_note_that_cannot_be_read_names_nobody(hold, tmp_path):
    hold()
    (tmp_path / NOTE).write_text("[]")
    expected = "used by another process"
    with pytest.raises(gvt.RunInUseError, match=expected), sole_writer(tmp_path, "trained"):
        pass


def test_a_run_that_is_trained_is_neither_resumed_evaluated_nor_reported(hold, tmp_path, call):
    run = gvt.run(
        *("classify.mnist", "train.steps=1", "data.holdout=50", "data.batch_size=10"),
        *("evaluate={split: val}", "device=cpu", f"run.root={tmp_path / 'runs'}"),
        quiet=True,
    )
    assert not (run.folder / NOTE).exists()
    program = HOLDER.replace("sys.argv[1]", repr(str(run.folder)))
    process = hold(program)
    says = f"error: run {run.folder} is being trained by process {process.pid} on "
    before = sorted(p.name for p in run.folder.rglob("*"))
    for verb, *overrides in (["resume", "train.steps=2"], ["eval"], ["report"]):
        code, out, err = call(verb, run.folder, *overrides)
        assert (code, out) == (1, "")
        assert err.startswith(says)
        assert err.count("\n") == 1
    assert sorted(p.name for p in run.folder.rglob("*")) == before
    code, _, _ = call("report", run.folder, "-o", tmp_path / "page.html")
    assert code == 0
    assert LOCK not in (tmp_path / "page.html").read_text(encoding="utf-8")
