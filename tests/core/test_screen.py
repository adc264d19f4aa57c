"""Lost output: closed pipes, full disks and closed terminals."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gvt.screen import Screen

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")

SMALL = ["data.classes=[5]", "data.batch_size=16", "generator.width=8", "discriminator.width=8"]
RUN = ["run", "gan.mnist", "train.steps=3", "device=cpu", *SMALL]
FULL = "/dev/full"

SLOW = """
import time
from gvt_registry import hookimpl

@hookimpl
def gvt_step_ended(step):
    time.sleep(0.05)
"""


def shell(command, folder, *arguments):
    """Run a shell command in which `gvt` is this version."""
    gvt = f"{sys.executable} -m gvt"
    words = " ".join(f"'{argument}'" for argument in arguments)
    line = f"set -o pipefail; {command.replace('gvt', gvt, 1).replace('ARGUMENTS', words)}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )


def events(folder):
    (log,) = folder.glob("runs/*/*/metrics.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return {row["event"]: row for row in rows if "event" in row}


class Broken(io.StringIO):
    encoding = "ascii"

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(32, "Broken pipe"), OSError(28, "No room"), ValueError("closed")],
)
def test_a_failed_screen_discards_output_and_has_the_reason(error):
    screen = Screen(Broken(error))
    assert screen.write("text") == 4
    assert screen.lost == (getattr(error, "strerror", None) or "closed")
    assert screen.was_left == isinstance(error, BrokenPipeError)
    assert not screen.isatty()
    screen.flush()
    assert screen.write("more") == 4


def test_a_missing_stream_is_lost():
    screen = Screen(None)
    assert screen.write("text") == 4
    screen.flush()
    assert screen.lost == "it is closed"
    assert not screen.isatty()


def test_characters_outside_the_encoding_are_escaped():
    raw = io.BytesIO()
    screen = Screen(io.TextIOWrapper(raw, encoding="ascii"))
    screen.write("Größe")
    screen.flush()
    assert raw.getvalue() == rb"Gr\xf6\xdfe"
    assert screen.lost == ""


def test_a_screen_takes_text_only():
    with pytest.raises(TypeError):
        Screen(io.StringIO()).write(b"bytes")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("gvt ARGUMENTS 2>&1 | true", "Broken pipe"),
        (f"gvt ARGUMENTS > {FULL} 2>&1", "No space left on device"),
        ("gvt ARGUMENTS >&- 2>&-", "it is closed"),
    ],
)
def test_a_run_outlives_its_display_and_says_so_in_its_log(command, reason, tmp_path):
    done = shell(command, tmp_path, *RUN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = events(tmp_path)
    assert log["display lost"]["reason"] == reason
    assert (log["ended"]["outcome"], log["ended"]["step"]) == ("success", 3)
    assert list(tmp_path.glob("runs/*/*/report.html"))
    # What is written to a descriptor that was closed does not end up in a file of the run.
    (log,) = tmp_path.glob("runs/*/*/metrics.jsonl")
    assert all(isinstance(json.loads(line)["step"], int) for line in log.read_text().splitlines())


@pytest.mark.slow
def test_a_failed_run_keeps_its_exit_code_without_a_display(tmp_path):
    done = shell(f"gvt run gan.mnist train.stepz=1 > {FULL} 2>&1", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_reading_one_line_of_a_list_gives_no_error(tmp_path):
    done = shell("gvt list | head -1", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "recipe\n", "")


@pytest.mark.skipif(not Path(FULL).exists(), reason="there is no full device")
def test_a_list_on_a_full_disk_is_an_error(tmp_path):
    done = shell(f"gvt list > {FULL}", tmp_path)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device\n"


def started(tmp_path, *prefix):
    """Start a long run, and return its process after the first step."""
    (tmp_path / "slow.py").write_text(SLOW)
    long = [word.replace("steps=3", "steps=400") for word in RUN]
    command = [*prefix, sys.executable, "-m", "gvt", *long, "train.log_every=1"]
    process = subprocess.Popen(
        [*command, "--plugin", "slow.py"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 300
    while not list(tmp_path.glob("runs/*/*/metrics.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    return process


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_processes")
def test_a_closed_session_stops_and_saves_the_run(tmp_path):
    process = started(tmp_path)
    process.stderr.close()  # with the terminal its output goes
    process.stdout.close()
    for _ in range(2):  # the shell sends it, and so does the system
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(0.01)
    assert process.wait(200) == 130
    log = events(tmp_path)
    assert log["display lost"]["reason"] == "Broken pipe"
    assert log["ended"]["outcome"] == "interrupt"
    expected = "since the terminal was closed and saved; continue with: gvt resume"
    assert expected in log["ended"]["error"]
    assert list(tmp_path.glob("runs/*/*/checkpoints/last.safetensors"))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_processes")
def test_under_nohup_a_closed_session_changes_nothing(tmp_path):
    process = started(tmp_path, "nohup")
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "saved; continue with: gvt resume" in errors
    assert "terminal was closed" not in errors
