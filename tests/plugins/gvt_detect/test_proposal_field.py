"""Proposals move with their picture as boxes do, and apart from the objects."""

import pytest
import torch

import gvt
from gvt.config.named import target_of
from gvt.config.schema import ComponentConfig
from gvt.data.transforms import build_transforms, transform_sample
from gvt.seeding import seeded

SIZE = (48, 64)
BOXES = torch.tensor([[4.0, 6, 30, 40], [20, 10, 60, 44], [1, 1, 9, 12], [40, 30, 63, 47]])

GEOMETRIC = [
    ("RandomHorizontalFlip", {"p": 1.0}),
    ("RandomVerticalFlip", {"p": 1.0}),
    ("RandomAffine", {"degrees": 30, "translate": [0.2, 0.2], "scale": [0.8, 1.3], "shear": 10}),
    ("RandomRotation", {"degrees": [90, 90]}),
    ("RandomRotation", {"degrees": 30, "expand": True}),
    ("RandomPerspective", {"p": 1.0, "distortion_scale": 0.3}),
    ("ElasticTransform", {"alpha": 60.0}),
    ("RandomCrop", {"size": [32, 40]}),
    ("RandomCrop", {"size": [64, 96], "pad_if_needed": True}),
    ("RandomResizedCrop", {"size": [40, 40], "scale": [0.4, 1.0]}),
    ("RandomZoomOut", {"p": 1.0, "side_range": [1.5, 2.0]}),
    ("CenterCrop", {"size": [40, 72]}),
    ("Pad", {"padding": [3, 5]}),
    ("Resize", {"size": [36, 50]}),
    ("RandomShortestSize", {"min_size": [30]}),
    ("ScaleJitter", {"target_size": [60, 60]}),
]
PIXELS = [
    ("ColorJitter", {"brightness": 0.3}),
    ("RandomErasing", {"p": 1.0}),
    ("RandomPhotometricDistort", {"p": 1.0}),
]


def sample(boxes=BOXES, proposals=None, **others):
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8)
    targets = {"boxes": boxes, "labels": torch.arange(len(boxes))} | others
    inputs = {} if proposals is None else {"proposals": proposals, "question": "which?"}
    return gvt.Sample({"image": image, **inputs}, targets, gvt.Record("1.png", SIZE))


def transformed(given, *transforms, seed=0):
    configs = [ComponentConfig(name=name, **parameters) for name, parameters in transforms]
    with seeded(seed):
        return transform_sample(build_transforms("data.transforms", configs), given)


@pytest.mark.parametrize(("name", "parameters"), GEOMETRIC)
def test_proposals_go_where_boxes_go(name, parameters):
    moved = 0
    for seed in range(4):
        found = transformed(sample(proposals=BOXES.clone()), (name, parameters), seed=seed)
        proposals = found.inputs["proposals"]
        assert type(proposals) is torch.Tensor and proposals.dtype == torch.float32
        there = (proposals[:, 2:] - proposals[:, :2] >= 1).all(dim=1)
        torch.testing.assert_close(proposals[there], found.targets["boxes"])
        moved += len(proposals) != len(BOXES) or not torch.equal(proposals, BOXES)
        assert found.inputs["question"] == "which?"
    assert moved >= 3


@pytest.mark.filterwarnings("ignore:RandomErasing")
@pytest.mark.parametrize(("name", "parameters"), PIXELS)
def test_what_changes_pixels_alone_leaves_them(name, parameters):
    found = transformed(sample(proposals=BOXES.clone()), (name, parameters))
    assert torch.equal(found.inputs["proposals"], BOXES)


@pytest.mark.parametrize("count", [0, 2, 4, 9])
def test_objects_are_what_they_are_without_proposals(count):
    # As many as the objects, fewer and more; two of them far from any object.
    proposals = BOXES.repeat(3, 1)[:count].roll(1, 0) * 0.9
    masks = torch.zeros(len(BOXES), *SIZE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, BOXES.long().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    crop = ("RandomIoUCrop", {"min_scale": 0.5, "max_scale": 0.7, "sampler_options": [0.5, 1.0]})
    steps = (crop, ("SanitizeBoundingBoxes", {"min_size": 12.0}), ("RandomHorizontalFlip", {}))
    dropped = cropped = 0
    for seed in range(8):
        alone = transformed(sample(masks=masks), *steps, seed=seed)
        found = transformed(sample(masks=masks, proposals=proposals), *steps, seed=seed)
        assert alone.targets.keys() == found.targets.keys()
        for key, value in alone.targets.items():
            assert torch.equal(found.targets[key], value), key
        dropped += len(BOXES) - len(value)
        height, width = found.image.shape[1:]
        cropped += (height, width) != SIZE
        limit = torch.tensor([width, height, width, height])
        inside = found.inputs["proposals"]
        assert (inside >= 0).all() and (inside <= limit).all()
        assert (inside[:, 2:] > inside[:, :2]).all()
    assert dropped and cropped


def test_those_that_a_crop_cut_off_are_dropped_and_the_others_clipped():
    proposals = torch.tensor([[0.0, 0, 5, 5], [2, 2, 50, 40], [20, 20, 30, 30]])
    found = transformed(sample(proposals=proposals), ("CenterCrop", {"size": [24, 32]}))
    wanted = [[0, 0, 32, 24], [4, 8, 14, 18]]
    assert found.inputs["proposals"].tolist() == wanted


def test_proposals_without_boxes_do_not_pass_for_boxes():
    given = gvt.Sample(
        {"image": torch.zeros(3, *SIZE, dtype=torch.uint8), "proposals": BOXES},
        {"class": torch.tensor(0)},
        gvt.Record("1.png", SIZE),
    )
    flipped = transformed(given, ("RandomHorizontalFlip", {"p": 1.0}))
    assert flipped.inputs["proposals"][0].tolist() == [34, 6, 60, 40]
    with pytest.raises(gvt.ConfigError, match=r"RandomIoUCrop.* needs boxes, .* none"):
        transformed(given, ("RandomIoUCrop", {}))


def test_a_sample_without_them_has_none_afterwards():
    assert transformed(sample(), ("RandomHorizontalFlip", {})).inputs.keys() == {"image"}


def test_a_mosaic_refuses_them_in_one_line():
    with pytest.raises(gvt.ConfigError, match=r"1\.png has proposals, ") as error:
        given = sample(proposals=BOXES)
        target_of("transform", "mosaic")()(
            gvt.Sample({"image": given.image, "proposals": BOXES}, given.targets, given.record),
            None,
        )
    assert "\n" not in str(error.value)
