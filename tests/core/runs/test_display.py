"""A run on the screen."""

import io

import pytest
import torch

import gvt
from gvt.loop.figures import Figure
from gvt.loop.listener import Run
from gvt.runs import display


class Terminal(io.StringIO):
    def isatty(self):
        return True


def follow(stream, total=3):
    shown = gvt.Display("headline: cpu, float32", ["a note"], stream=stream)
    run = Run(gvt.MultiHead.__new__(gvt.MultiHead), total, 2, 64)
    shown.run_started(run)
    for step in range(1, total + 1):
        run.step = step
        shown.step_ended(run, {"real": torch.tensor(0.5)})
        shown.losses_read(run, [(step, {"real": 0.25 * step})])
    metrics = {"accuracy": 0.75, "iou/cat": 0.25, "of/7": 0.125}
    found = gvt.Evaluation(metrics, figures={"iou/cat": Figure("metric", "cat")})
    shown.evaluated(run, "val", found)
    shown.run_ended(run, None)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def every_line(monkeypatch):
    monkeypatch.setattr(display, "PLAIN_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize("force", ["", "1"])
def test_where_there_is_no_terminal_there_are_plain_lines(force, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", force)
    lines = follow(io.StringIO()).splitlines()
    assert not any("\x1b" in line or "\r" in line for line in lines)
    assert lines[:2] == ["headline: cpu, float32", "a note"]
    assert lines[2].startswith("step 1/3  real 0.2500")
    assert "samples/s" in lines[2]
    assert lines[2].endswith("left")
    assert lines[5] == "step 3  val: accuracy 0.7500  of/7 0.1250"
    assert lines[6].startswith("3 steps in")


def test_on_a_terminal_there_is_a_live_line():
    text = follow(Terminal())
    assert "\x1b[?25l" in text  # the cursor is hidden...
    assert "\x1b[?25h" in text  # ...and comes back
    assert "3/3" in text


def test_a_complete_run_says_how_it_is_extended():
    stream = io.StringIO()
    shown = gvt.Display("headline", stream=stream)
    run = Run(gvt.MultiHead.__new__(gvt.MultiHead), 3, 2, 64, step=3, folder="runs/a/b")
    run.resume_with = lambda path, *settings: f"gvt resume {path} {' '.join(settings)}"
    shown.run_started(run)
    shown.run_ended(run, None)
    assert "gvt resume runs/a/b train.steps=N" in stream.getvalue()
