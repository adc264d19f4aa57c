"""Whether training data has the targets that a model learns from."""

import warnings

import pytest
import torch

import gvt
from gvt.device.processes import World
from gvt.loop.supervision import Supervision

MESSAGE = "head a learned nothing"


class OneHead(gvt.Task):
    """A task that warns about a head `a` without losses."""

    phases = ()

    def untaught(self, losses):
        return [] if "a/loss" in losses else [MESSAGE]


def supervised(steps, run_step, losses, targets=None):
    """Return the supervision of some steps, and a run with epochs of four steps."""
    task = OneHead()
    supervision = Supervision(task, World())
    for step in range(run_step - steps, run_step):
        supervision.note(step, losses, targets)
    return supervision, gvt.Run(task, 8, 4, 2, step=run_step)


def test_an_epoch_without_losses_is_an_error():
    targets = gvt.Targets({"class": torch.zeros(2)})
    supervision, run = supervised(4, 4, [], targets)
    with pytest.warns(UserWarning, match=MESSAGE), pytest.raises(gvt.DataError) as caught:
        supervision.check(run)
    assert str(caught.value).endswith("targets to learn from: there is no loss")


def test_a_head_without_losses_is_a_warning():
    supervision, run = supervised(4, 4, ["b/loss"])
    with pytest.warns(UserWarning, match=MESSAGE):
        supervision.check(run)


@pytest.mark.parametrize(
    ("steps", "run_step", "losses"),
    [
        (4, 8, ["a/loss", "b/loss"]),  # everything has a loss
        (2, 8, []),  # a resumed run has only seen the end of its epoch
        (2, 2, ["b/loss"]),  # a run shorter than an epoch needs some loss, but not all
    ],
)
def test_otherwise_nothing_is_reported(steps, run_step, losses):
    supervision, run = supervised(steps, run_step, losses)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        supervision.check(run)


def test_each_epoch_is_checked_by_itself():
    supervision, run = supervised(4, 4, ["a/loss"])
    supervision.check(run)
    run.step = 8
    for step in range(4, 8):
        supervision.note(step, [], None)
    with pytest.warns(UserWarning, match=MESSAGE), pytest.raises(gvt.DataError):
        supervision.check(run)
