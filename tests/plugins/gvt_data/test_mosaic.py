"""Mosaics show parts of four pictures, with what is known of those parts and nothing else."""

import zlib
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt.checkpoint import file
from gvt.config import DataConfig
from gvt.geometry import mask_boxes
from gvt_data.mosaic import GREY, KEPT, Mosaic

CPU = gvt.Placement(torch.device("cpu"))
KEYS = ("boxes", "labels", "masks", "semantic")


def picture(number, size=(24, 32), keys=KEYS):
    """Return a picture that says of each pixel whose it is, and where it was there.

    It is full of blocks of 6x6 pixels two pixels apart, each an object that knows its number.
    """
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([torch.full(size, number), y, x]).to(torch.uint8)
    corners = [(t, c) for t in range(1, height - 6, 8) for c in range(1, width - 6, 8)]
    masks = torch.zeros(len(corners), height, width, dtype=torch.uint8)
    for mask, (top, left) in zip(masks, corners, strict=True):
        mask[top : top + 6, left : left + 6] = 1
    known = {
        "boxes": mask_boxes(masks),
        "labels": torch.tensor([100 * number + i for i in range(len(corners))], dtype=torch.int64),
        "masks": masks,
        "semantic": torch.full(size, number),
        "class": torch.tensor(0),
    }
    targets = {key: known[key] for key in keys}
    return gvt.Sample({"image": image}, targets, gvt.Record(f"{number}.png", size))


def composed(pictures, seed=0):
    """Return a mosaic of four pictures."""
    first, *others = pictures
    with gvt.seeded(seed):
        return Mosaic(p=1.0)(first, iter(others).__next__)


def sides(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@settings(max_examples=60, deadline=None)
@given(st.lists(sides(1, 50), min_size=4, max_size=4), st.integers(0, 10**6))
def test_each_quarter_is_a_window_of_its_picture(sizes, seed):
    pictures = [picture(n + 1, size) for n, size in enumerate(sizes)]
    found = composed(pictures, seed)
    height, width = sizes[0]
    assert found.image.shape == (3, height, width)
    assert found.image.dtype == torch.uint8
    owner, row, column = found.image.long()
    semantic = found.targets["semantic"]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centre = []
    for number, size in enumerate(sizes, start=1):
        shown = semantic == number
        assert (owner[shown] == number).all()
        if not shown.any():
            continue
        # In one piece, in its own scale, and a rectangle.
        assert len((y - row)[shown].unique()) == len((x - column)[shown].unique()) == 1
        x1, y1, x2, y2 = mask_boxes(shown[None])[0].int().tolist()
        assert (x2 - x1) * (y2 - y1) == shown.sum()
        assert y2 - y1 <= size[0] and x2 - x1 <= size[1]
        centre.append((x2 if number % 2 else x1, y2 if number < 3 else y1))
    assert len(set(centre)) == 1  # they meet
    assert height // 4 <= centre[0][1] <= height - height // 4
    assert width // 4 <= centre[0][0] <= width - width // 4
    assert (found.image[:, semantic == 255] == GREY).all()
    check_objects(found, pictures)


def check_objects(found, pictures):
    known, semantic = found.targets, found.targets["semantic"]
    labels = known["labels"].tolist()
    assert len(set(labels)) == len(labels) == len(known["boxes"]) == len(known["masks"])
    assert torch.equal(known["boxes"], mask_boxes(known["masks"]))
    row, column = found.image[1:].long()
    expected = set()
    for number, of in enumerate(pictures, start=1):
        shown = semantic == number
        for label, mask in zip(of.targets["labels"].tolist(), of.targets["masks"], strict=True):
            there = torch.zeros_like(shown)
            there[shown] = mask[row[shown], column[shown]].bool()
            if there.sum() / mask.sum() >= KEPT:
                expected.add(label)
                assert torch.equal(known["masks"][labels.index(label)].bool(), there)
    assert set(labels) == expected


def test_pictures_that_are_large_enough_leave_no_grey():
    found = composed([picture(n + 1, (40, 40)) for n in range(4)])
    assert sorted(found.targets["semantic"].unique().tolist()) == [1, 2, 3, 4]
    assert found.record.geometry is None
    assert found.record.source == "1.png"


def test_boxes_alone_are_judged_by_their_area():
    keys = ("boxes", "labels")
    for seed in range(20):
        pictures = [picture(n + 1) for n in range(4)]
        bare = [
            gvt.Sample({"image": p.image}, {k: p.targets[k] for k in keys}, p.record)
            for p in pictures
        ]
        one, other = (composed(of, seed).targets for of in (pictures, bare))
        # A block fills its box, so that both say the same.
        assert torch.equal(one["boxes"], other["boxes"])
        assert torch.equal(one["labels"], other["labels"])


def test_a_picture_with_other_targets_is_not_used():
    pictures = [picture(1), picture(2, keys=("boxes", "labels")), picture(3), picture(4)]
    found = composed(pictures)
    assert set(found.image[0].unique().tolist()) == {1, 3, 4}
    assert found.targets.keys() == set(KEYS)


def test_pictures_without_objects():
    empty = picture(1)
    none = {k: v[:0] for k, v in empty.targets.items() if k != "semantic"}
    found = composed([gvt.Sample({"image": empty.image}, none, empty.record)] * 4)
    assert found.targets["boxes"].shape == (0, 4)
    assert found.targets["labels"].shape == (0,)
    assert found.targets["masks"].shape == (0, 24, 32)


def test_floats_are_grey_too():
    images = [picture(n + 1, (4, 4)) for n in range(4)]
    first = picture(9, (20, 20))
    pictures = [gvt.Sample({"image": first.image / 255}, first.targets, first.record), *images[1:]]
    found = composed(pictures)
    grey = found.image[:, found.targets["semantic"] == 255]
    assert torch.allclose(grey, torch.tensor(GREY / 255))
    assert found.image.dtype == torch.float32
    assert found.image.max() <= 1


def test_grey_and_colour_name_both_pictures():
    grey = gvt.Sample(
        {"image": torch.zeros(1, 9, 9, dtype=torch.uint8)}, picture(2).targets, picture(2).record
    )
    with pytest.raises(gvt.DataError, match=r"2\.png has 1 channels, 1\.png has 3"):
        composed([picture(1), grey, picture(3), picture(4)])


@pytest.mark.parametrize(
    ("keys", "named"), [((*KEYS, "class"), "class"), (("labels",), "labels"), (("class",), "class")]
)
def test_what_is_known_of_the_whole_is_refused(keys, named):
    says = rf"^data\.transforms: mosaic: 1\.png has {named}, which is not valid for a part"
    with pytest.raises(gvt.ConfigError, match=says):
        composed([picture(1, keys=keys)] * 4)
    with pytest.raises(gvt.ConfigError, match=says):
        groups(1, dataset=Blocks(keys), transforms=[mosaic(0.1)])
    composed([picture(1, keys=("masks", "labels"))] * 4)


class Blocks:
    """Twelve pictures, of two sizes."""

    classes, image_shape, splits = ("a",), None, ("train",)

    def __init__(self, keys=KEYS):
        self.keys = keys

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return picture(index + 1, (24, 32 + 4 * (index % 2)), self.keys)


FLIP = {"name": "RandomHorizontalFlip"}


def mosaic(share):
    return {"name": "mosaic", "p": share}


def groups(count, start=0, dataset=None, **settings):
    config = DataConfig(name="blocks", batch_size=2, **settings)
    train = gvt.TrainConfig(steps=1, accumulate=2, seed=5)
    loader = gvt.Loader(dataset or Blocks(), config, train, CPU)
    return [batch for group in islice(loader.groups(start), count) for batch in group]


def same(one, other):
    targets = [b.targets.ragged | b.targets.dense for b in (one, other)]
    return torch.equal(one.images, other.images) and all(
        torch.equal(a, b)
        for key in KEYS
        for a, b in zip(targets[0][key], targets[1][key], strict=True)
    )


def test_the_mosaics_of_a_seed_stay_what_they_are():
    found = groups(2, workers=0, transforms=[FLIP, mosaic(0.5)])
    assert [zlib.crc32(row.numpy().tobytes()) for b in found for row in b.targets["semantic"]] == [
        *(44248681, 3075745331, 1294764663, 4086435251),
        *(3753961074, 1380925787, 2782516034, 3785284679),
    ]
    pixels = [b.images.mul(255).round().byte().numpy().tobytes() for b in found]
    assert [zlib.crc32(p) for p in pixels] == [3945193033, 1865763549, 2633376492, 3885509484]


def test_a_mosaic_is_a_function_of_its_place():
    settings = {"transforms": [FLIP, mosaic(0.5)]}
    whole = groups(6, workers=0, **settings)
    shared = groups(6, workers=2, **settings)
    later = groups(2, start=4, workers=0, **settings)
    assert all(same(a, b) for a, b in zip(whole, shared, strict=True))
    assert all(same(a, b) for a, b in zip(whole[8:], later, strict=True))
    # Of the ones that are no mosaics nothing is another one.
    plain = groups(6, workers=0, transforms=[FLIP])
    mixed = [len(one.targets["semantic"][row].unique()) > 2 for one in whole for row in range(2)]
    assert 4 <= sum(mixed) <= 20
    for one, other in zip(whole, plain, strict=True):
        for row in range(2):
            if len(one.targets["semantic"][row].unique()) == 1:
                assert torch.equal(one.images[row], other.images[row])


def test_each_quarter_is_transformed_by_a_chance_of_its_own():
    found = groups(3, workers=0, transforms=[FLIP, mosaic(1.0)])
    turned = []
    for one in found:
        for columns, semantic in zip(one.images[:, 2], one.targets["semantic"], strict=True):
            pairs = semantic[:, 1:] == semantic[:, :-1]
            steps = columns.diff(dim=1)
            turned.append(
                {
                    bool(steps[pairs & (semantic[:, 1:] == n)].sum() < 0)
                    for n in semantic.unique().tolist()
                    if n != 255
                }
            )
    assert sum(len(ways) == 2 for ways in turned) > len(turned) / 3


def test_as_many_are_composed_as_is_said():
    for share in (0.0, 1.0):
        found = groups(6, workers=0, transforms=[mosaic(share)])
        numbers = [
            set(one.images[row, 0].mul(255).round().int().unique().tolist()) - {0}
            for one in found
            for row in range(2)
        ]
        several = sum(len(of) > 1 for of in numbers)
        assert several == 0 if share == 0 else several >= len(numbers) - 1


def test_held_out_pictures_stay_whole():
    config = DataConfig(name="blocks", batch_size=2, transforms=[mosaic(1.0)])
    loader = gvt.Loader(Blocks(), config, gvt.TrainConfig(steps=1), CPU)
    assert loader.config.resident is False
    (found, *_) = loader.held_out(Blocks())
    assert torch.equal(found.targets["boxes"][0], picture(1).targets["boxes"])
    assert len(loader.first(4)) == 4
    with pytest.raises(ValueError, match="resident=true keeps whole tensors, which cannot be"):
        DataConfig(name="blocks", transforms=[mosaic(0.5)], resident=True)


def test_a_picture_that_cannot_be_read_is_named():
    class Broken(Blocks):
        def __getitem__(self, index):
            if index == 7:
                raise OSError("gone")
            return super().__getitem__(index)

    with pytest.raises(gvt.DataError, match=r"^sample 7: OSError: gone$"):
        groups(4, dataset=Broken(), transforms=[mosaic(1.0)], workers=0)


SMALL = [
    *("data.size=32", "data.digit_size=[10, 20]", "data.objects=[1, 2]", "data.count=12"),
    *("data.held_out=4", "data.batch_size=4", "data.workers=0", "backbone.width=4"),
    *("train.steps=4", "train.checkpoint_every=2", "train.keep=9", "train.pictures_every=null"),
    *("evaluate.every=null", "evaluate.final=null", "evaluate.best=null", "device=cpu"),
    "data.transforms=[{name: RandomHorizontalFlip}, {name: mosaic, p: 0.6}]",
]


def with_former_setting(checkpoint, path):
    """Write a checkpoint as it was when the share of mosaics was a setting of the data."""
    document, tensors = file.load(checkpoint)
    for section in ("config", "resolved"):
        data = document[section]["data"]
        data["mosaic"] = data["transforms"].pop()["p"]
    del document["components"]["transform:mosaic"]
    file.save(path, tensors, document)


@pytest.mark.slow
def test_a_checkpoint_with_the_former_setting_goes_on_to_the_same_weights(tmp_path):
    run = gvt.run("segment.scenes", *SMALL, f"run.root={tmp_path}", quiet=True)
    _, expected = file.load(run.checkpoint)
    with_former_setting(run.checkpoint.with_name("step_00000002.safetensors"), run.checkpoint)
    opened = gvt.open(run.checkpoint)
    assert [t.model_dump() for t in opened.config.data.transforms] == [FLIP, mosaic(0.6)]
    assert opened.config.data.parameters.keys() == run.config.data.parameters.keys()
    _, tensors = file.load(gvt.resume(run.folder, quiet=True).checkpoint)
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)
    with_former_setting(run.checkpoint, run.checkpoint)
    assert "mean_iou" in str(gvt.evaluate_checkpoint(run.checkpoint).metrics)


def test_the_former_setting_in_a_recipe_is_one_line_that_says_what_to_write():
    with pytest.raises(
        gvt.ConfigError, match=r"^data\.mosaic: .*data\.transforms=\[\{name: mosaic\}\]$"
    ):
        gvt.run("segment.scenes", *SMALL, "data.mosaic=0.5", quiet=True)
