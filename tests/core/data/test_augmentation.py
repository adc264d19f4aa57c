"""Whole batches transformed, with the classes that are mixed."""

from itertools import islice

import pytest
import torch

import gvt
from gvt.config import DataConfig

CPU = gvt.Placement(torch.device("cpu"))
MIXUP = {"name": "MixUp", "alpha": 0.4}
CUTMIX = {"name": "CutMix", "alpha": 1.0}
EITHER = {"name": "RandomChoice", "transforms": [MIXUP, CUTMIX]}


class Plain:
    """Twelve pictures of one value each, of three classes; what else they have is said."""

    classes = ("dark", "middle", "bright")
    image_shape = (1, 8, 8)
    splits = ("train",)

    def __init__(self, targets=("class",), unlabelled=None):
        self.targets, self.unlabelled = targets, unlabelled

    def __len__(self):
        return 12

    def __getitem__(self, index):
        known = {"class": torch.tensor(index % 3), "semantic": torch.zeros(8, 8, dtype=torch.int64)}
        targets = {key: known[key] for key in self.targets if index != self.unlabelled}
        image = torch.full((1, 8, 8), 100.0 * (index % 3) / 255)
        return gvt.Sample({"image": image}, targets, gvt.Record(f"plain {index}", (8, 8)))


def loader(dataset=None, batch_size=6, **settings):
    config = DataConfig(name="plain", batch_size=batch_size, workers=0, **settings)
    return gvt.Loader(dataset or Plain(), config, gvt.TrainConfig(steps=1), CPU)


def batches(count, *transforms, start=0):
    found = loader(batch_transforms=list(transforms)).groups(start)
    return [group[0] for group in islice(found, count)]


def values(shares):
    """Return the mean value of pictures of these shares of the classes."""
    return shares @ torch.tensor([0.0, 100.0, 200.0]) / 255


@pytest.mark.parametrize("transform", [MIXUP, CUTMIX, EITHER])
def test_the_classes_are_mixed_as_the_pictures_are(transform):
    found = batches(8, transform)
    for batch in found:
        shares = batch.targets["class"]
        assert (shares.shape, shares.dtype) == ((6, 3), torch.float32)
        assert type(batch.images) is torch.Tensor
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
        torch.testing.assert_close(batch.images.mean(dim=(1, 2, 3)), values(shares))
    assert any(((b.targets["class"] > 0).sum(dim=1) > 1).any() for b in found)


def test_a_choice_takes_either():
    def is_mixed_all_over(batch):
        return len(batch.images[batch.targets["class"].amax(dim=1) < 0.999].unique()) > 3

    kinds = {is_mixed_all_over(batch) for batch in batches(20, EITHER)}
    assert kinds == {True, False}


def test_mixing_is_a_function_of_its_place():
    from_start = batches(5, EITHER, {"name": "RandomHorizontalFlip"})
    later = batches(2, EITHER, {"name": "RandomHorizontalFlip"}, start=3)
    for one, other in zip(from_start[3:], later, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets["class"], other.targets["class"])


def test_it_may_be_left_to_chance():
    sometimes = {"name": "RandomApply", "p": 0.5, "transforms": [MIXUP]}
    kinds = {batch.targets["class"].ndim for batch in batches(20, sometimes)}
    assert kinds == {1, 2}


def test_without_mixing_the_classes_stay_numbers():
    (batch,) = batches(1, {"name": "GaussianNoise"})
    assert (batch.targets["class"].dtype, batch.targets["class"].ndim) == (torch.int64, 1)


@pytest.mark.parametrize(
    ("dataset", "settings", "says"),
    [
        (Plain(("semantic",)), {"batch_transforms": [MIXUP]}, "this data has semantic"),
        (Plain(()), {"batch_transforms": [EITHER]}, "this data has no classes of images"),
        (Plain(), {"transforms": [MIXUP]}, r"MixUp: .* in the list data\.batch_transforms"),
        (Plain(), {"batch_transforms": [{**MIXUP, "num_classes": 3}]}, "filled in by gvt"),
        (Plain(), {"batch_transforms": [{**MIXUP, "alfa": 1}]}, r"transforms\[0\]\.alfa: .*alpha"),
        (
            Plain(),
            {"batch_transforms": [{"name": "RandomApply", "transforms": [{"name": "MixUpp"}]}]},
            r"batch_transforms\[0\]\.transforms\[0\]\.name: .*did you mean 'MixUp'",
        ),
        (
            Plain(),
            {"batch_transforms": [{"name": "RandomChoice", "transforms": ["MixUp"]}]},
            r"\.transforms: should be a list of transforms",
        ),
    ],
)
def test_what_cannot_be_mixed_is_one_line_before_training(dataset, settings, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        loader(dataset, **settings)
    assert "\n" not in str(caught.value)


class Parted(Plain):
    """Several of them, one behind the other."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = {f"part{number}": part for number, part in enumerate(parts)}
        self.classes = tuple({n: None for part in parts for n in part.classes})

    def __len__(self):
        return 12 * len(self.parts)

    def __getitem__(self, index):
        return list(self.parts.values())[index // 12][index % 12]


class Others(Plain):
    classes = ("dark", "middle", "blue")


class Reordered(Plain):
    classes = ("bright", "dark", "middle")


@pytest.mark.parametrize(
    ("parts", "settings", "says"),
    [
        ((Plain(), Others()), {"batch_transforms": [EITHER]}, "the classes of part0, part1 differ"),
        ((Plain(), Plain(())), {"batch_transforms": [MIXUP]}, "images without a class"),
        (
            (Plain(), Plain(("semantic",))),
            {"batch_transforms": [{"name": "GaussianNoise"}]},
            "this data has semantic",
        ),
        (
            (Parted(Plain()), Parted(Plain(), Plain(("semantic",)))),
            {"batch_transforms": [{"name": "GaussianNoise"}]},
            "this data has semantic",
        ),
        (
            (Plain(("semantic",)), Plain()),
            {"transforms": [{"name": "mosaic"}]},
            "plain 0 has class",
        ),
    ],
)
def test_every_part_of_mixed_data_is_looked_at_before_training(parts, settings, says):
    with pytest.raises(gvt.ConfigError, match=says) as caught:
        loader(Parted(*parts), **settings)
    assert "\n" not in str(caught.value)


def test_parts_of_the_same_classes_are_mixed():
    mixed = loader(Parted(Plain(), Reordered()), batch_transforms=[EITHER]).groups()
    shares = next(mixed)[0].targets["class"]
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    noisy = [{"name": "GaussianNoise"}]
    loader(Parted(Plain(), Others()), batch_transforms=noisy)  # which mixes nothing


def test_a_picture_without_a_class_cannot_be_mixed():
    made = loader(Plain(unlabelled=5), batch_size=12, batch_transforms=[MIXUP])
    with pytest.raises(gvt.ConfigError, match="this data has images without a class"):
        next(made.groups())


class Labelled(Plain):
    """Nine of class 0, three of class 2."""

    labels = [0] * 9 + [2] * 3

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return gvt.Sample(
            {"image": sample.image}, {"class": torch.tensor(self.labels[index])}, sample.record
        )


def test_balanced_batches_show_rare_classes_as_often():
    found = loader(Labelled(), balance=True).groups()
    classes = torch.cat([group[0].targets["class"] for group in islice(found, 200)])
    assert abs(int((classes == 2).sum()) - 600) < 104  # six standard deviations


def test_balance_needs_the_classes_of_the_samples():
    with pytest.raises(gvt.ConfigError, match=r"data\.balance: plain has no class for each"):
        loader(balance=True)
    with pytest.raises(ValueError, match="shuffle=true"):
        DataConfig(name="plain", balance=True, shuffle=False)


def test_weights_need_a_random_order():
    dataset = Plain()
    dataset.weights = torch.ones(12)
    loader(dataset)
    with pytest.raises(
        gvt.ConfigError, match=r"^data\.shuffle: plain draws samples at random .*=true$"
    ):
        loader(dataset, shuffle=False)
