"""The order of samples is a function of (seed, epoch), whoever reads them."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import gvt
from gvt.data import Order

sizes = st.integers(1, 7)


@given(st.integers(1, 200), sizes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 20))
def test_processes_and_micro_batches_share_one_order(count, batch, accumulate, world, start):
    assume(count >= batch * accumulate * world)
    alone = Order(count, batch * accumulate * world)
    apart = [Order(count, batch, accumulate, rank=rank, world_size=world) for rank in range(world)]
    assert {o.steps_per_epoch for o in apart} == {alone.steps_per_epoch}
    streams = [o.places(start) for o in apart]
    for place in itertools.islice(alone.places(start), 5):
        parts = []
        for _ in range(accumulate):
            micro = [next(s) for s in streams]
            assert {m.epoch for m in micro} == {place.epoch}
            parts += [m.indices for m in micro]
        assert torch.equal(torch.cat(parts), place.indices)


@given(st.integers(2, 100), sizes, st.integers(0, 40))
def test_starting_late_is_the_same_as_having_waited(count, batch, start):
    assume(count >= batch)
    order = Order(count, batch)
    waited = itertools.islice(order.places(), start, start + 4)
    for one, other in zip(waited, itertools.islice(order.places(start), 4), strict=True):
        assert (one.epoch, one.number) == (other.epoch, other.number)
        assert torch.equal(one.indices, other.indices)


def test_an_epoch_shows_every_sample_once_and_the_next_one_in_another_order():
    order = Order(50, 5)
    first, second = order.epoch(0), order.epoch(1)
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)
    assert not torch.equal(first, Order(50, 5, seed=1).epoch(0))


def test_without_shuffling_samples_come_in_order():
    places = Order(10, 4, shuffle=False).places()
    assert [next(places).indices.tolist() for _ in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [0, 1, 2, 3],
    ]


def test_too_little_data_is_one_line():
    with pytest.raises(gvt.DataError, match=r"3 samples, one step takes 8.*data\.batch_size"):
        Order(3, 4, accumulate=2)
