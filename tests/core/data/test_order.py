"""The order of samples is a function of (seed, epoch), whoever reads them."""

import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import gvt
from gvt.data.order import Order, equally_often

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


def drawn(labels, epochs=1, **settings):
    order = Order(len(labels), 1, weights=equally_often(torch.tensor(labels)), **settings)
    return torch.cat([order.epoch(epoch) for epoch in range(epochs)])


def test_a_balanced_epoch_draws_every_class_and_each_of_its_samples_equally_often():
    # 30 of class 0, 6 of class 2, 4 of class 5; the others do not occur.
    labels = [0, 2, 0, 5, 0] * 4 + [0] * 18 + [2] * 2
    found = drawn(labels, epochs=300)
    assert len(found) == 300 * 40
    by_class = torch.tensor(labels)[found].bincount()
    expected = {0: 4000, 2: 4000, 5: 4000}
    # Six standard deviations of a binomial of n = 12,000, p = 1/3: 310.
    assert all(abs(int(by_class[c]) - count) < 310 for c, count in expected.items())
    assert int(by_class[[1, 3, 4]].sum()) == 0
    each = found.bincount(minlength=40)
    share = torch.tensor([4000 / labels.count(label) for label in labels])
    assert ((each - share).abs() < 6 * share.sqrt()).all()


def test_a_balanced_epoch_is_a_function_of_seed_and_epoch():
    labels = [0] * 20 + [1] * 4
    assert torch.equal(drawn(labels, 2), drawn(labels, 2))
    assert not torch.equal(drawn(labels), drawn(labels, seed=1))
    first, second = drawn(labels, 2).chunk(2)
    assert not torch.equal(first, second)
