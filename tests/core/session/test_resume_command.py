"""The command that a run says it is resumed with."""

from pathlib import Path

import pytest

from gvt.config import CODE, compose
from gvt.session.training import _resume_command

FOLDER = Path("runs/it's/1")


@pytest.fixture
def in_notebook(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)


@pytest.mark.parametrize(
    ("processes", "command"),
    [(1, "gvt"), (2, "torchrun --nproc-per-node=1 -m gvt")],
)
def test_on_the_command_line(processes, command):
    config = compose("classify.mnist")
    resumed = f"""{command} resume 'runs/it'"'"'s/1'"""
    assert _resume_command(config, processes, FOLDER) == resumed
    assert _resume_command(config, processes, FOLDER, "train.steps=9") == f"{resumed} train.steps=9"


@pytest.mark.usefixtures("in_notebook")
def test_in_a_notebook():
    config = compose("classify.mnist")
    assert _resume_command(config, 1, FOLDER) == """gvt.resume("runs/it's/1")"""
    extended = _resume_command(config, 1, FOLDER, "train.steps=9")
    assert extended == """gvt.resume("runs/it's/1", 'train.steps=9')"""


def test_of_parts_that_were_built_in_code():
    config = compose("classify.mnist", [f"heads.digit.name={CODE}"])
    assert _resume_command(config, 1, FOLDER) == """gvt.fit(task, data, resume="runs/it's/1")"""
    extended = _resume_command(config, 1, FOLDER, "train.steps=9")
    assert extended == """gvt.fit(task, data, 'train.steps=9', resume="runs/it's/1")"""
