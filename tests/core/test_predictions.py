"""Predictions by head, and the names of what each head makes."""

import pytest
import torch

from gvt.predictions import by_head, short_name

CLASS = {"class": torch.tensor(1), "scores": torch.tensor([0.2, 0.8])}


@pytest.mark.parametrize("heads", [["digit"], ["digit", "other"]])
def test_a_prediction_by_head_stays_as_it_is(heads):
    prediction = dict.fromkeys(heads, CLASS)
    assert by_head(prediction) is prediction


@pytest.mark.parametrize("prediction", [{}, CLASS, CLASS | {"more": {"of": "it"}}])
def test_the_prediction_of_a_task_without_heads_is_under_no_name(prediction):
    assert by_head(prediction) == {"": prediction}


def test_only_a_single_head_goes_without_its_name():
    assert short_name("digit", {"digit"}, "accuracy") == "accuracy"
    assert short_name("", {""}, "accuracy") == "accuracy"
    assert short_name("digit", {"digit", "other"}, "accuracy") == "digit/accuracy"
