"""What an override may change in a saved configuration."""

import pytest

import gvt
from gvt.session.changeable import MOVABLE, OPENING, OWN_EVALUATION, RESUMING, first_change


@pytest.mark.parametrize(
    ("override", "resuming", "evaluating"),
    [
        ("device=cpu", None, None),
        ("evaluate.batch_size=7", None, None),
        ("train.steps=9", None, "train"),
        ("train.seed=9", "train.seed", "train"),
        ("train.accumulate=2", "train.accumulate", "train"),
        ("data.batch_size=9", "data", None),
        ("backbone.widths=[4, 4]", "backbone", "backbone"),
        ("recipe=other", "recipe", None),
    ],
)
def test_the_first_change_that_is_not_allowed_is_named(override, resuming, evaluating):
    before, after = gvt.compose("classify.mnist"), gvt.compose("classify.mnist", (override,))
    assert first_change(RESUMING, before, after) == resuming
    assert first_change(OPENING, before, after) == evaluating


def test_nothing_changed_is_allowed():
    config = gvt.compose("classify.mnist")
    assert first_change({*RESUMING, *OPENING}, config, config) is None


def test_every_name_is_that_of_a_section():
    paths = {*RESUMING, *MOVABLE, *OPENING}
    sections = {path.partition(".")[0] for path in (*paths, *OWN_EVALUATION)}
    assert sections <= gvt.RunConfig.model_fields.keys()
    may_change = gvt.RunConfig.model_fields.keys() - {*RESUMING}
    assert may_change == {"train", "evaluate", "run", "device"}
