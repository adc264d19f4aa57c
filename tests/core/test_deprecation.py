"""Deprecated functions and classes warn, and name the replacement."""

import warnings

import pytest

from gvt.deprecation import deprecated


@deprecated(replacement="gvt.evaluate(task, batches)", since="0.2", gone="0.3")
def judge(task):
    """Return the task."""
    return task


@deprecated(replacement="gvt.Loader", since="1.9", gone="2.0")
class Feeder:
    def __init__(self, size):
        self.size = size


def test_a_call_works_and_warns_where_it_is_made():
    with pytest.warns(DeprecationWarning) as caught:
        assert judge(7) == 7
    assert [str(w.message) for w in caught] == [
        "judge is deprecated since gvt 0.2 and gone in 0.3; use gvt.evaluate(task, batches)"
    ]
    assert caught[0].filename == __file__
    assert judge.__doc__ == "Return the task."


def test_a_class_warns_when_an_instance_is_made():
    with pytest.warns(DeprecationWarning, match="Feeder is deprecated .* use gvt.Loader"):
        assert Feeder(3).size == 3


@pytest.mark.parametrize("gone", ["0.2", "0.2.5", "0.1"])
def test_the_warning_lasts_one_minor_version(gone):
    with warnings.catch_warnings(), pytest.raises(ValueError, match="one minor version"):
        deprecated(replacement="new", since="0.2", gone=gone)
