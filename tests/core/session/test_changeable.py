"""What an override may change in a saved configuration."""

import pytest

import gvt
from gvt.session.changeable import OPENING, OWN_EVALUATION, RESUMING


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
    assert RESUMING.wrongly_changed(before, after) == resuming
    assert OPENING.wrongly_changed(before, after) == evaluating


def test_nothing_changed_is_allowed():
    config = gvt.compose("classify.mnist")
    for changeable in (RESUMING, OPENING):
        assert changeable.wrongly_changed(config, config) is None


def test_every_name_is_that_of_a_section():
    paths = {*RESUMING.fixed, *RESUMING.settings, *OPENING.fixed}
    sections = {path.partition(".")[0] for path in (*paths, *OWN_EVALUATION)}
    assert sections <= gvt.RunConfig.model_fields.keys()
    may_change = gvt.RunConfig.model_fields.keys() - {*RESUMING.fixed}
    assert may_change == {"train", "evaluate", "run", "device"}
