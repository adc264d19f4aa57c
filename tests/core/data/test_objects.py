"""Boxes, labels and masks of the objects stay together through every transform."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gvt
from gvt.config.schema import ComponentConfig
from gvt.data.objects import picked, tidied
from gvt.data.transforms import build_transforms, transform_sample
from gvt.geometry import mask_boxes
from gvt.seeding import random_source, seeded

SIZE = (60, 84)

TRANSFORMS = {
    "flip": [{"name": "RandomHorizontalFlip", "p": 1.0}],
    "affine": [{"name": "RandomAffine", "degrees": 40, "scale": [0.5, 1.5], "shear": 10}],
    "rotation": [{"name": "RandomRotation", "degrees": 180, "expand": True}],
    "perspective": [{"name": "RandomPerspective", "p": 1.0, "distortion_scale": 0.4}],
    "elastic": [{"name": "ElasticTransform", "alpha": 40.0}],
    "iou_crop": [{"name": "RandomIoUCrop"}, {"name": "SanitizeBoundingBoxes", "min_size": 4}],
    "zoom_out": [{"name": "RandomZoomOut", "p": 1.0, "side_range": [1.0, 2.0], "fill": 114}],
    "scale_jitter": [
        {"name": "ScaleJitter", "target_size": [72, 72], "scale_range": [0.2, 2.0]},
        {"name": "RandomCrop", "size": [48, 48], "pad_if_needed": True},
    ],
    "shortest": [{"name": "RandomShortestSize", "min_size": [40, 90], "max_size": 100}],
    "resized_crop": [{"name": "RandomResizedCrop", "size": [50, 40]}],
    "colour": [{"name": "RandomPhotometricDistort", "p": 1.0}],
    "choice": [
        {
            "name": "RandomChoice",
            "transforms": [{"name": "RandomIoUCrop"}, {"name": "Resize", "size": [33, 57]}],
        }
    ],
}
BUILT = {
    name: build_transforms("data.transforms", [ComponentConfig(**config) for config in configs])
    for name, configs in TRANSFORMS.items()
}


def sample(seed=0, count=4, loose=False):
    """Return a picture of ellipses; an object's label, and its number, say which one it was."""
    source = random_source(seed, "ellipses")
    height, width = SIZE
    y = torch.arange(height)[None, :, None] + 0.5
    x = torch.arange(width)[None, None, :] + 0.5
    centre = torch.rand(count, 2, generator=source) * torch.tensor([width, height])
    radius = torch.rand(count, 2, generator=source) * 16 + 2
    away = ((x - centre[:, 0, None, None]) / radius[:, 0, None, None]) ** 2
    away = away + ((y - centre[:, 1, None, None]) / radius[:, 1, None, None]) ** 2
    masks = away <= 1
    masks = masks[masks.flatten(1).any(dim=1)].to(torch.uint8)
    count = len(masks)
    boxes = mask_boxes(masks)
    if loose:  # a box that says more than the mask does, such as one of what is hidden as well
        boxes = boxes + torch.tensor([-3.0, -3, 3, 3])
        boxes = boxes.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    targets = {
        "boxes": boxes,
        "labels": torch.arange(count) * 3,
        "masks": masks,
        "numbers": torch.arange(count),
        "class": torch.tensor(2),
        "semantic": torch.where(masks.bool().any(dim=0), 1, 0),
    }
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8, generator=source)
    return gvt.Sample({"image": image}, targets, gvt.Record("ellipses.png", SIZE))


def without(given, *keys):
    targets = {key: value for key, value in given.targets.items() if key not in keys}
    return gvt.Sample({"image": given.image}, targets, given.record)


def check_objects(found):
    """Check that what is known of the objects agrees."""
    known = found.targets
    height, width = found.image.shape[-2:]
    count = len(known["boxes"])
    assert known["boxes"].shape == (count, 4)
    assert known["boxes"].dtype == torch.float32
    assert len(known["labels"]) == len(known["numbers"]) == count
    assert torch.equal(known["labels"], known["numbers"] * 3)  # none was mistaken for another
    x1, y1, x2, y2 = known["boxes"].unbind(dim=1)
    assert ((x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)).all()
    assert ((x2 - x1 >= 1) & (y2 - y1 >= 1)).all()
    if "masks" in known:
        assert known["masks"].shape == (count, height, width)
        assert known["masks"].dtype == torch.uint8
        assert known["masks"].flatten(1).any(dim=1).all()
    assert int(known["class"]) == 2
    assert known["semantic"].shape == (height, width)
    return count


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(list(BUILT)), seed=st.integers(0, 10**6), count=st.integers(0, 6))
def test_a_box_goes_on_ending_where_its_mask_does(name, seed, count):
    given = sample(seed, count)
    with seeded(seed):
        found = transform_sample(BUILT[name], given)
    check_objects(found)
    assert ((found.targets["boxes"] - mask_boxes(found.targets["masks"])).abs() <= 1).all()


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(list(BUILT)), seed=st.integers(0, 10**6))
def test_without_masks_and_with_other_boxes_the_rows_agree(name, seed):
    for one in (sample(seed, loose=True), without(sample(seed), "masks")):
        with seeded(seed):
            check_objects(transform_sample(BUILT[name], one))


def test_a_box_that_is_no_extent_of_its_mask_stays_what_it_was():
    given = sample(3, loose=True)
    with seeded(0):
        found = transform_sample(BUILT["colour"], given)
    assert torch.equal(found.targets["boxes"], given.targets["boxes"])
    with seeded(0):
        found = transform_sample(BUILT["flip"], given)
    sides = found.targets["boxes"][:, 2:] - found.targets["boxes"][:, :2]
    assert torch.equal(sides, given.targets["boxes"][:, 2:] - given.targets["boxes"][:, :2])


def test_a_finer_edge_than_the_mask_has_is_kept():
    given = sample(5)
    finer = given.targets["boxes"] + torch.tensor([0.3, 0.2, -0.4, -0.1])
    given = gvt.Sample({"image": given.image}, {**given.targets, "boxes": finer}, given.record)
    with seeded(0):
        found = transform_sample(BUILT["flip"], given)
    x1, y1, x2, y2 = finer.unbind(dim=1)
    flipped = torch.stack([SIZE[1] - x2, y1, SIZE[1] - x1, y2], dim=1)
    assert torch.allclose(found.targets["boxes"], flipped, atol=1e-4)


def test_a_crop_drops_those_whose_middle_it_does_not_hold():
    left = torch.tensor([[2.0, 2, 12, 12], [60.0, 40, 80, 58], [20.0, 30, 40, 50]])
    masks = torch.zeros(3, *SIZE, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, left.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    targets = {"boxes": left, "labels": torch.tensor([4, 5, 6]), "masks": masks}
    given = gvt.Sample(
        {"image": torch.zeros(3, *SIZE, dtype=torch.uint8)}, targets, sample().record
    )
    counts = set()
    for seed in range(30):
        with seeded(seed):
            known = transform_sample(BUILT["iou_crop"], given).targets
        counts.add(len(known["boxes"]))
        assert len(known["labels"]) == len(known["masks"]) == len(known["boxes"]) > 0
        assert torch.equal(known["boxes"], mask_boxes(known["masks"]))
        assert set(known["labels"].tolist()) <= {4, 5, 6}
    assert counts >= {1, 2, 3}


def test_a_crop_of_a_picture_without_objects_ends():
    with seeded(0):
        found = transform_sample(BUILT["iou_crop"], sample(count=0))
    assert check_objects(found) == 0
    config = ComponentConfig(name="RandomIoUCrop", sampler_options=[0.3, 0.5])
    with pytest.raises(gvt.ConfigError, match=r"^data.transforms\[0\]: RandomIoUCrop: sampler_op"):
        build_transforms("data.transforms", [config])


def test_a_transform_that_goes_by_boxes_says_so_where_there_are_none():
    given = without(sample(), "boxes")
    says = r"^data.transforms: RandomIoUCrop\(\) needs boxes, but ellipses.png has masks, semant"
    with pytest.raises(gvt.ConfigError, match=says):
        transform_sample(BUILT["iou_crop"], given)


def test_small_boxes_are_dropped_by_size_and_by_area():
    given = sample(1, 5)
    boxes = given.targets["boxes"]
    sides = boxes[:, 2:] - boxes[:, :2]
    area = float(sides.prod(dim=1).median()) + 0.5
    for parameters, kept in (
        ({"min_size": 15}, sides.amin(dim=1) >= 15),
        ({"min_area": area}, sides.prod(dim=1) >= area),
    ):
        config = ComponentConfig(name="SanitizeBoundingBoxes", **parameters)
        found = transform_sample(build_transforms("data.transforms", [config]), given)
        assert 0 < check_objects(found) < 5
        assert torch.equal(found.targets["numbers"], kept.nonzero().flatten())
        assert torch.equal(found.targets["semantic"], given.targets["semantic"])
    config = ComponentConfig(name="SanitizeBoundingBoxes", labels_getter=None)
    with pytest.raises(gvt.ConfigError, match="no parameter 'labels_getter'"):
        build_transforms("data.transforms", [config])


def test_a_box_that_a_transform_took_away_does_not_come_back():
    masks = torch.zeros(2, 10, 10, dtype=torch.uint8)
    masks[:, 2:8, 2:8] = 1
    boxes = torch.tensor([[0.0, 0, 0, 0], [0, 0, 10, 10]])
    targets = {"boxes": boxes, "labels": torch.arange(2), "masks": masks}
    found = tidied(targets, (10, 10), {"boxes": mask_boxes(masks), "masks": masks})
    assert found["labels"].tolist() == [1]
    assert found["boxes"].tolist() == [[2, 2, 8, 8]]


def test_what_a_crop_leaves_out_it_leaves_out_also_where_there_are_masks():
    crop = build_transforms("data.transforms", [ComponentConfig(name="RandomIoUCrop")])
    fewer = 0
    for seed in range(40):
        kept = []
        for one in (sample(seed, 6), without(sample(seed, 6), "masks")):
            with seeded(seed):
                kept.append(transform_sample(crop, one).targets["labels"].tolist())
        with_masks, boxes_alone = kept
        assert set(with_masks) <= set(boxes_alone)
        fewer += len(boxes_alone) < len(sample(seed, 6).targets["labels"])
    assert fewer > 5


@pytest.mark.parametrize("new", ["XYWH", "CXCYWH", "xyxy"])
def test_boxes_of_another_format_are_made_corners_again(new):
    given = sample(7)
    config = [
        ComponentConfig(name="ConvertBoundingBoxFormat", format=new),
        ComponentConfig(name="RandomHorizontalFlip", p=1.0),
    ]
    for one in (given, without(given, "masks")):
        found = transform_sample(build_transforms("data.transforms", config), one)
        x1, y1, x2, y2 = given.targets["boxes"].unbind(dim=1)
        flipped = torch.stack([SIZE[1] - x2, y1, SIZE[1] - x1, y2], dim=1)
        assert torch.allclose(found.targets["boxes"], flipped, atol=1e-4)
        assert type(found.targets["boxes"]) is torch.Tensor


def test_masks_without_boxes_keep_their_rows():
    given = without(sample(2), "boxes")
    config = ComponentConfig(name="RandomCrop", size=[8, 8])
    with seeded(0):
        found = transform_sample(build_transforms("data.transforms", [config]), given)
    assert len(found.targets["masks"]) == len(given.targets["masks"])
    assert torch.equal(found.targets["labels"], given.targets["labels"])


def test_as_many_objects_as_rows_of_pixels():
    given = sample(count=1)
    many = {
        "boxes": torch.tensor([[1.0, 1, 30, 30]]).repeat(SIZE[0], 1),
        "labels": torch.arange(SIZE[0]),
        "semantic": given.targets["semantic"],
    }
    many["boxes"][::2] = torch.tensor([5.0, 5, 7, 7])
    config = ComponentConfig(name="SanitizeBoundingBoxes", min_size=3)
    transform = build_transforms("data.transforms", [config])
    found = transform_sample(
        transform, gvt.Sample({"image": given.image}, many, given.record)
    ).targets
    assert torch.equal(found["semantic"], many["semantic"])
    assert torch.equal(found["labels"], torch.arange(SIZE[0])[1::2])


def test_what_is_left_of_objects():
    masks = torch.zeros(4, 10, 10, dtype=torch.uint8)
    masks[0, 2:5, 2:5] = masks[1, 9:, 5:9] = masks[2, 0, 0] = 1
    boxes = torch.tensor([[2.0, 2, 5, 5], [5, 9, 9, 12], [-3, -3, 0.5, 1], [1, 1, 4, 4]])
    targets = {"boxes": boxes, "labels": torch.arange(4), "masks": masks}
    wider = {**targets, "boxes": boxes + torch.tensor([-2.0, -2, 2, 2])}
    # Only the first fitted its mask before, so only the first is fitted.
    assert tidied(wider, (10, 10), targets)["boxes"].tolist() == [
        *([2, 2, 5, 5], [3, 7, 10, 10], [0, 0, 2.5, 3])
    ]
    found = tidied(targets, (10, 10))
    # The third has half a pixel left, the fourth's mask is empty.
    assert found["boxes"].tolist() == [[2, 2, 5, 5], [5, 9, 9, 10]]
    assert found["labels"].tolist() == [0, 1]
    assert torch.equal(found["masks"], masks[:2])
    assert targets["boxes"] is boxes
    none = picked(targets, torch.zeros(4, dtype=torch.bool))
    assert none["boxes"].shape == (0, 4)
    assert none["masks"].shape == (0, 10, 10)
    assert mask_boxes(none["masks"]).shape == (0, 4)
