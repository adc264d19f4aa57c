"""Transforms that compose a sample of several."""

from itertools import islice

import pytest
import torch

import gvt
from gvt.config import DataConfig
from gvt_registry import default_registry

CPU = gvt.Placement(torch.device("cpu"))


class Numbers:
    """Twelve pixels of one value each."""

    classes, splits = (), ("train",)

    def __init__(self, image_shape=None):
        self.image_shape = image_shape

    def __len__(self):
        return 12

    def __getitem__(self, index):
        image = torch.full((1, 1, 1), index + 1, dtype=torch.uint8)
        return gvt.Sample({"image": image}, {}, gvt.Record(str(index), (1, 1)))


class Beside:
    """Put further samples beside a sample, and the number of a draw."""

    composes = True

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(self, sample, another):
        images = [sample.image, *(another().image for _ in range(self.count))]
        drawn = torch.randint(100, 200, (1, 1, 1), dtype=torch.uint8)
        return gvt.Sample({"image": torch.cat([*images, drawn], dim=2)}, {}, sample.record)


class Stamped:
    """Write the number of a draw into the first pixel."""

    def __call__(self, sample):
        image = sample["image"].clone()
        image[..., 0] = torch.randint(50, 100, ())
        return {**sample, "image": image}


class Inputs:
    """Return no sample."""

    composes = True

    def __call__(self, sample, another):
        return sample.inputs


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    monkeypatch.setattr(default_registry(), "_in_code", {})
    for target in (Beside, Stamped, Inputs):
        gvt.register("transform", target.__name__.lower())(target)


def rows(*transforms, groups=3, dataset=None, workers=0, **settings):
    """Return the pixels of the images of the first groups."""
    config = DataConfig(
        name="numbers", batch_size=4, workers=workers, transforms=list(transforms), **settings
    )
    loader = gvt.Loader(dataset or Numbers(), config, gvt.TrainConfig(steps=1, seed=3), CPU)
    batches = [group[0] for group in islice(loader.groups(), groups)]
    return torch.cat([b.images[:, 0, 0] for b in batches]).mul(255).round().int().tolist()


BESIDE, STAMPED = {"name": "beside"}, {"name": "stamped"}


def test_a_sample_is_composed_of_samples_that_are_drawn_at_random():
    found = rows({"name": "beside", "count": 3})
    assert sorted(row[0] for row in found) == list(range(1, 13))  # an epoch in its order
    assert all(1 <= other <= 12 for row in found for other in row[1:4])
    assert len({tuple(row[1:4]) for row in found}) == 12
    assert rows({"name": "beside", "count": 3}, workers=2) == found


def test_transforms_before_it_see_each_sample_and_those_after_it_the_whole():
    before, after = rows(STAMPED, BESIDE), rows(BESIDE, STAMPED)
    assert all(50 <= one < 100 and 50 <= other < 100 for one, other, _ in before)
    assert all(50 <= one < 100 and other <= 12 for one, other, _ in after)
    assert sum(one != other for one, other, _ in before) >= 10


def test_each_of_several_draws_numbers_of_its_own():
    found = rows(STAMPED, BESIDE, BESIDE, STAMPED, groups=6)
    assert {len(row) for row in found} == {7}  # (stamp, sample, draw) twice, and a draw
    pairs = [(1, 4), (2, 5), (2, 6), (5, 6)]
    assert all(sum(row[i] != row[k] for row in found) >= 18 for i, k in pairs)
    assert rows(STAMPED, BESIDE, BESIDE, STAMPED, groups=6, workers=1) == found


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"transforms": [{"name": "RandomApply", "transforms": [BESIDE]}]},
            r"^data\.transforms\[0\]\.transforms\[0\]: beside: .* list data\.transforms; move",
        ),
        ({"batch_transforms": [BESIDE]}, r"^data\.batch_transforms\[0\]: beside: .*\.transforms;"),
        ({"transforms": [{"name": "inputs"}]}, "Inputs returned a dict, not a gvt.Sample$"),
        (
            {"transforms": [BESIDE], "dataset": Numbers((1, 1, 1))},
            r"they turn images \(1, 1, 1\) into \(1, 1, 3\)",
        ),
    ],
)
def test_what_is_wrong_is_one_line_before_training(settings, says):
    transforms = settings.pop("transforms", [])
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        rows(*transforms, groups=0, **settings)
    assert "\n" not in str(caught.value)
