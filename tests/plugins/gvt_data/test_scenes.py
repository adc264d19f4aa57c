"""Scenes: the same picture for the same seed, and targets that agree with each other."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt.data.sources import Resident, Streamed
from gvt.interfaces import ResidentDataset
from gvt_data.scenes import Scenes


def small(split="train", **parameters):
    return Scenes(split, **{"size": 64, "count": 40, "held_out": 20, **parameters})


def test_a_picture_is_a_function_of_seed_split_and_index():
    one, other = small(), small(count=7)
    assert torch.equal(one[5].image, other[5].image)
    different = [small(seed=1)[5], small("val")[5], one[6]]
    assert not any(torch.equal(one[5].image, sample.image) for sample in different)
    assert len(small("test")) == 20
    with pytest.raises(IndexError):
        other[7]


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(40, 120), st.integers(40, 120)),
    objects=st.sampled_from([(1, 1), (1, 6), (5, 9)]),
    overlap=st.sampled_from([0.0, 0.3, 1.0]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_targets_agree_with_each_other(size, objects, overlap, channels, seed):
    dataset = Scenes(
        "val", size, 1, 4, objects, overlap=overlap, channels=channels, seed=seed, rotation=30.0
    )
    for index in range(4):
        sample = dataset[index]
        targets = sample.targets
        assert sample.image.shape == (channels, *size)
        masks, labels, semantic = targets["masks"], targets["labels"], targets["semantic"]
        assert masks.shape == (len(labels), *size)
        assert 1 <= len(labels) <= objects[1]
        assert masks.sum(0).max() <= 1  # visible parts do not overlap
        expected = torch.full(size, 10, dtype=torch.uint8)
        for mask, label in zip(masks, labels, strict=True):
            expected[mask.bool()] = label.to(torch.uint8)
        assert torch.equal(semantic, expected)
        for mask, box in zip(masks, targets["boxes"].tolist(), strict=True):
            y, x = mask.nonzero().unbind(1)
            assert box == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert int(targets["class"]) == dataset.info.labels[index] == int(labels[-1])


def test_the_class_is_the_largest_digit():
    dataset = small(objects=(3, 5), size=128)
    for index in range(20):
        _, plan = dataset._plan(index)
        sides = [digit.side for digit in plan]
        assert max(sides) == sides[-1]
        assert sorted(sides)[-2] <= 0.85 * sides[-1]


def test_digits_contrast_with_the_background():
    dataset = small()
    for index in range(40):
        sample = dataset[index]
        ink = sample.targets["semantic"] != 10
        grey = sample.image.float().mean(0)
        assert (grey[ink].mean() - grey[~ink].mean()).abs() > 45


def test_training_sees_none_of_the_test_digits():
    train, val = small(), small("val")
    assert (len(train._digits), len(val._digits)) == (60_000, 10_000)


def test_dense_targets_alone_are_resident():
    dataset = small(targets=["semantic", "class"])
    assert isinstance(dataset, ResidentDataset)
    assert not isinstance(small(), ResidentDataset)
    assert not isinstance(small(targets=["semantic", "masks"]), ResidentDataset)
    keys = [(0, torch.tensor([3, 0, 39]))]
    placement = gvt.Placement.resolve("cpu")
    (one,), (other,) = (
        list(source(dataset, placement).batches(keys)) for source in (Resident, Streamed)
    )
    assert torch.equal(one.images, other.images)
    for key in ("semantic", "class"):
        assert torch.equal(one.targets[key], other.targets[key])
    assert [r.source for r in one.records] == [r.source for r in other.records]
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.tensors()[0]["image"], dataset.tensors()[0]["image"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"digit_size": (20, 10)}, "digit_size"),
        ({"digit_size": (20, 60)}, "at most 45 pixels on this canvas"),
        ({"objects": (4, 2)}, "give the least number first"),
    ],
)
def test_invalid_parameters_are_one_line(parameters, message):
    with pytest.raises(ValueError, match=message):
        small(**parameters)


def test_a_recipe_s_values_are_checked():
    recipe = {
        "task": {"name": "gan"},
        "data": {"name": "scenes", "targets": ["boxen"]},
        "train": {"steps": 1},
        "optimizers": {},
    }
    from gvt.session.build import open_dataset

    with pytest.raises(gvt.ConfigError, match=r"data\.targets"):
        open_dataset(gvt.compose(recipe), "train")
