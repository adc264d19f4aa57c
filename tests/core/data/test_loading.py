"""Batches, from the device's memory or from workers, augmented or not."""

import os
import random
import subprocess
import sys
import warnings
from itertools import chain, islice

import numpy as np
import pytest
import torch

import gvt
from gvt.config import DataConfig
from gvt.data import sources
from gvt.data.collate import collate
from gvt.data.transforms import build_transforms, transform_sample
from gvt.device.processes import World
from gvt.errors import DataError
from gvt.geometry import mask_boxes

CPU = gvt.Placement(torch.device("cpu"))


class Shades:
    """Twenty images, each of one shade; one of them may be broken."""

    classes = ("a", "b")
    image_shape = (1, 6, 6)
    splits = ("train",)

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 20

    def tensors(self):
        shades = torch.arange(0, 240, 12, dtype=torch.uint8)
        ramp = torch.arange(36, dtype=torch.uint8).view(1, 6, 6)
        images = shades.view(-1, 1, 1, 1) // 2 + ramp
        return {"image": images}, {"class": torch.arange(20) % 2}

    def record(self, index):
        return gvt.Record(f"shade {index}", (6, 6))

    def __getitem__(self, index):
        if index == self.broken:
            raise DataError(f"shade {index}: cannot be read")
        inputs, targets = self.tensors()
        return gvt.Sample(
            {"image": inputs["image"][index]},
            {"class": targets["class"][index]},
            self.record(index),
        )


def groups(count, start=0, dataset=None, **settings):
    config = DataConfig(name="shades", batch_size=3, **settings)
    train = gvt.TrainConfig(steps=1, accumulate=2, seed=5)
    loader = gvt.Loader(dataset or Shades(), config, train, CPU)
    return list(islice(loader.groups(start), count)), loader.config


def images_of(found):
    return torch.cat([batch.images for group in found for batch in group])


def test_resident_and_read_batches_are_the_same():
    resident, config = groups(5)
    assert config.resident is True
    for workers in (0, 2):
        read, config = groups(5, resident=False, workers=workers)
        assert (config.resident, config.workers) == (False, workers)
        assert torch.equal(images_of(read), images_of(resident))
        for one, other in zip(chain(*read), chain(*resident), strict=True):
            assert torch.equal(one.targets["class"], other.targets["class"])
            assert [r.source for r in one.records] == [r.source for r in other.records]
            assert one.frame == other.frame


@pytest.mark.parametrize(
    "augmentation",
    [
        {"transforms": [{"name": "RandomAffine", "degrees": 30}]},
        {"batch_transforms": [{"name": "GaussianNoise"}], "resident": False},
        {"batch_transforms": [{"name": "GaussianNoise"}]},
    ],
)
def test_augmentation_is_a_function_of_its_place(augmentation):
    state = torch.get_rng_state()
    from_start, _ = groups(6, **augmentation)
    torch.rand(100)  # what others draw changes nothing
    later, _ = groups(2, start=4, **augmentation)
    torch.set_rng_state(state)
    assert torch.equal(images_of(from_start[4:]), images_of(later))
    assert not torch.equal(images_of(from_start), images_of(groups(6)[0]))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_augments_a_sample_anew():
    found, _ = groups(7, transforms=[{"name": "RandomAffine", "degrees": 30}])
    views = {}
    for batch in chain(*found):
        for record, image in zip(batch.records, batch.images, strict=True):
            views.setdefault(record.source, []).append(image)
    twice = [v for v in views.values() if len(v) > 1]
    # A small rotation may leave few pixels as they were by chance, but not every image.
    assert sum(torch.equal(v[0], v[1]) for v in twice) < len(twice) / 4


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_cannot_be_read_is_one_line(workers):
    with pytest.raises(DataError, match=r"^shade 7: cannot be read$"):
        groups(4, dataset=Shades(broken=7), resident=False, workers=workers)


class Noisy(Shades):
    """Draws from every generator that data sets draw from."""

    def __getitem__(self, index):
        noise = torch.tensor([random.random(), np.random.rand(), torch.rand(()).item()])
        image = noise.view(1, 1, 3).expand(1, 6, 3).repeat(1, 1, 2)
        return gvt.Sample({"image": image}, {"class": torch.tensor(0)}, self.record(index))


def test_randomness_of_any_kind_is_a_function_of_the_sample():
    here, _ = groups(6, dataset=Noisy(), resident=False, workers=0)
    there, _ = groups(6, dataset=Noisy(), resident=False, workers=2)
    later, _ = groups(2, start=4, dataset=Noisy(), resident=False, workers=1)
    assert torch.equal(images_of(here), images_of(there))
    assert torch.equal(images_of(here[4:]), images_of(later))
    assert len(images_of(here).unique(dim=0)) == len(images_of(here))


@pytest.mark.parametrize("workers", [0, 2])
def test_any_error_of_a_data_set_is_one_line_with_its_traceback_behind(workers):
    class Failing(Shades):
        def __getitem__(self, index):
            raise EOFError("the file\nends too early")

    with pytest.raises(DataError, match="EOFError: the file ends too early") as caught:
        groups(1, dataset=Failing(), resident=False, workers=workers)
    assert "\n" not in str(caught.value)
    assert "__getitem__" in caught.value.details


def test_whole_tensors_are_those_that_stack():
    class Angles(Shades):
        def tensors(self):
            inputs, targets = super().tensors()
            return inputs, {**targets, "angle": torch.zeros(20)}

    with pytest.raises(DataError, match="returned angle, which cannot be whole tensors"):
        groups(1, dataset=Angles())


def test_transforms_that_change_the_size_are_refused():
    with pytest.raises(gvt.ConfigError, match=r"\(1, 6, 6\) into \(1, 3, 3\)"):
        groups(1, transforms=[{"name": "Resize", "size": 3}])


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("world", [1, 3])
def test_evaluation_sees_every_sample_once(resident, world):
    config = DataConfig(name="shades", batch_size=4, resident=resident, workers=0)
    train = gvt.TrainConfig(steps=1)
    sources = []
    for rank in range(world):
        loader = gvt.Loader(Shades(), config, train, CPU, World(rank, world))
        held_out = loader.held_out(Shades())
        sources += [record.source for batch in held_out for record in batch.records]
    assert sorted(sources) == sorted(f"shade {i}" for i in range(20))


def sample(height, width, **targets):
    image = torch.full((3, height, width), 255, dtype=torch.uint8)
    return gvt.Sample({"image": image}, targets, gvt.Record("a", (height, width)))


def test_images_of_different_sizes_are_padded_and_their_sizes_kept():
    boxes = torch.tensor([[0.0, 0, 2, 2]])
    batch = collate(
        [
            sample(4, 6, boxes=boxes, semantic=torch.ones(4, 6), masks=torch.ones(1, 4, 6)),
            sample(5, 3, boxes=torch.zeros(0, 4), masks=torch.zeros(0, 5, 3)),
        ]
    )
    assert batch.frame == gvt.Frame(((4, 6), (5, 3)), (5, 6))
    assert batch.images.shape == (2, 3, 5, 6)
    assert batch.images[0, :, 4:].sum() == 0
    assert batch.targets["masks"][0].shape == (1, 5, 6)
    assert batch.targets["boxes"][1].shape == (0, 4)
    assert batch.targets["semantic"][0, 4].tolist() == [255] * 6
    assert batch.targets["semantic"][1].unique().tolist() == [255]
    assert batch.targets.rows_with(["semantic"], 2).tolist() == [0]
    assert batch.targets.rows_with(["boxes"], 2) is None
    assert batch.targets.rows_with(["class"], 2).tolist() == []
    assert [sorted(t) for t in batch.targets.per_image(2)] == [
        ["boxes", "masks", "semantic"],
        ["boxes", "masks"],
    ]


def test_padding_says_nothing_and_moves_nothing():
    pictures = Blocks()
    config = DataConfig(
        name="blocks",
        batch_size=4,
        workers=0,
        transforms=[
            _named("ScaleJitter", target_size=[40, 40], scale_range=[0.4, 1.6]).model_dump(),
            _named("RandomPhotometricDistort").model_dump(),
        ],
    )
    loader = gvt.Loader(pictures, config, gvt.TrainConfig(steps=1), CPU)
    sizes = set()
    for (batch,) in islice(loader.groups(), 4):
        canvas = batch.frame.canvas
        assert canvas == tuple(map(max, zip(*batch.frame.sizes, strict=True)))
        assert batch.images.shape[-2:] == canvas
        for row, (height, width) in enumerate(batch.frame.sizes):
            sizes.add((height, width))
            outside = torch.ones(canvas, dtype=torch.bool)
            outside[:height, :width] = False
            assert not batch.images[row][:, outside].any()
            known = batch.targets.per_image(4)[row]
            assert known["masks"].shape == (len(known["boxes"]), *canvas)
            assert not known["masks"][:, outside].any()
            limit = torch.tensor([width, height, width, height])
            assert ((known["boxes"] >= 0) & (known["boxes"] <= limit)).all()
            assert ((known["boxes"] - mask_boxes(known["masks"])).abs() <= 1).all()
    assert len(sizes) > 4
    batch = next(loader.held_out(pictures))
    for row, known in enumerate(batch.targets.per_image(4)):
        assert torch.equal(known["boxes"], pictures[row].targets["boxes"])


class Blocks:
    """Pictures of several sizes, with two boxes that are full each, or with none."""

    classes, image_shape, splits = ("a", "b"), None, ("train",)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        size = (30 + index, 50 - 2 * index)
        boxes = torch.tensor([[2.0, 3, 12, 20], [15, 10, 31, 28]])[: 2 * (index % 3)]
        masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        image = torch.randint(1, 256, (3, *size), dtype=torch.uint8)
        labels = torch.arange(len(boxes))
        targets = {"boxes": boxes, "labels": labels, "masks": masks}
        return gvt.Sample({"image": image}, targets, gvt.Record(str(index), size))


def test_grey_and_colour_in_one_batch_name_both_images():
    grey = gvt.Sample({"image": torch.zeros(1, 4, 4)}, {}, gvt.Record("grey.png", (4, 4)))
    with pytest.raises(DataError, match=r"a has 3 channels, grey\.png has 1"):
        collate([grey, sample(4, 4)])


def test_a_transform_moves_boxes_and_masks_with_the_image():
    flip = build_transforms("data.transforms", [_named("RandomHorizontalFlip", p=1.0)])
    mask = torch.zeros(1, 4, 6)
    mask[0, :, 0] = 1
    flipped = transform_sample(
        flip, sample(4, 6, boxes=torch.tensor([[0.0, 0, 2, 3]]), masks=mask, semantic=mask[0])
    )
    assert flipped.targets["boxes"].tolist() == [[4, 0, 6, 3]]
    assert flipped.targets["masks"][0, :, 5].tolist() == [1] * 4
    assert flipped.targets["semantic"][:, 5].tolist() == [1] * 4
    assert flipped.record.geometry is None


def _named(name, **parameters):
    return gvt.config.ComponentConfig(name=name, **parameters)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (("RandomAfine", {}), "did you mean 'RandomAffine'"),
        (("RandomAffine", {"degres": 3}), "no parameter 'degres'; did you mean 'degrees'"),
        (("RandomAffine", {}), "degrees: is missing"),
        (("RandomErasing", {"p": 7}), "RandomErasing"),
    ],
)
def test_a_wrong_transform_is_one_line(config, says):
    name, parameters = config
    with pytest.raises(gvt.ConfigError, match=says):
        build_transforms("data.transforms", [_named(name, **parameters)])


def test_more_workers_than_cores_are_told_once_and_not_for_every_pass(monkeypatch):
    sources._check_cores.cache_clear()
    monkeypatch.setattr(sources, "usable_cores", lambda: 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loader = gvt.Loader(
            Shades(),
            gvt.DataConfig(name="shades", batch_size=4, resident=False, workers=3),
            gvt.TrainConfig(steps=2),
            CPU,
        )
        for _ in range(2):
            assert sum(len(batch) for batch in loader.held_out(Shades())) == len(Shades())
    sources._check_cores.cache_clear()
    (line,) = (str(warning.message) for warning in caught)
    assert line.startswith("data.workers=3: this machine has only 1 core;")


HELD = """
import torch
import gvt
from gvt.data.sources import Streamed

class Plain:
    classes, image_shape, splits = (), (1, 2, 2), ("train",)
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return gvt.Sample({"image": torch.zeros(1, 2, 2)}, {}, gvt.Record(str(index), (2, 2)))

source = Streamed(Plain(), gvt.Placement.resolve("cpu"), 1)
batches = source.batches((0, torch.arange(2)) for _ in range(9))
print(len(next(batches)))  # and the pass is still there at the end
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="workers are forked")
def test_a_pass_that_is_still_held_does_not_keep_python_from_ending():
    done = subprocess.run(
        [sys.executable, "-c", HELD], capture_output=True, text=True, check=True, timeout=200
    )
    assert done.stdout == "2\n"
