"""Augmentation: image, masks and boxes stay together, and nothing is known of what comes in."""

import pytest
import torch

import gvt
from gvt.config.schema import ComponentConfig
from gvt.data.transforms import build_transforms, transform_sample
from gvt.seeding import seeded

SIZE = (48, 64)
CELL = 8

GEOMETRIC = [
    ("RandomHorizontalFlip", {"p": 1.0}),
    ("RandomVerticalFlip", {"p": 1.0}),
    ("RandomAffine", {"degrees": 30, "translate": [0.2, 0.2], "scale": [0.8, 1.3], "shear": 10}),
    ("RandomRotation", {"degrees": [90, 90]}),
    ("RandomPerspective", {"p": 1.0, "distortion_scale": 0.3}),
    ("ElasticTransform", {"alpha": 60.0}),
    ("RandomCrop", {"size": [32, 40]}),
    ("RandomCrop", {"size": [64, 96], "pad_if_needed": True}),
    ("RandomResizedCrop", {"size": [40, 40], "scale": [0.4, 1.0]}),
    ("RandomZoomOut", {"p": 1.0, "side_range": [1.0, 1.5]}),
    ("CenterCrop", {"size": [60, 72]}),
    ("Resize", {"size": [36, 48]}),
]
PIXELS = [
    ("ColorJitter", {"brightness": 0.3, "hue": 0.1}),
    ("RandomErasing", {"p": 1.0}),
    ("GaussianBlur", {"kernel_size": 3}),
    ("RandomPhotometricDistort", {"p": 1.0}),
]
FILLS_UP = {"RandomAffine", "RandomPerspective", "RandomZoomOut", "CenterCrop"}


def cells():
    """Return a number for each square of 8x8 pixels, (H, W)."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return y // CELL * (SIZE[1] // CELL) + x // CELL


def sample(dtype=torch.uint8):
    """Return a sample whose image says where each pixel was: 3 * x, 3 * y, and 200."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    image = torch.stack([3 * x, 3 * y, torch.full(SIZE, 200)]).to(torch.uint8)
    cell = cells()
    targets = {
        "semantic": cell.to(dtype),
        "masks": torch.stack([cell == 9, cell == 20]).to(torch.uint8),
        "boxes": torch.tensor([[8.0, 8, 16, 16], [32, 16, 40, 24]]),
        "labels": torch.tensor([0, 1]),
        "class": torch.tensor(3),
    }
    return gvt.Sample({"image": image}, targets, gvt.Record("1.png", SIZE))


def transformed(name, parameters, seed=0, given=None):
    transform = build_transforms("data.transforms", [ComponentConfig(name=name, **parameters)])
    with seeded(seed):
        return transform_sample(transform, given or sample())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize(("name", "parameters"), GEOMETRIC)
def test_image_and_masks_stay_together(name, parameters, dtype):
    for seed in range(3):
        found = transformed(name, parameters, seed, sample(dtype))
        image, semantic = found.image.float(), found.targets["semantic"]
        assert semantic.dtype == dtype
        assert semantic.shape == image.shape[1:]
        known = (semantic != 255) & (image[2] > 195)  # at an edge the image is mixed with black
        assert known.float().mean() > 0.2
        cell = semantic[known].long()
        assert cell.max() < SIZE[0] * SIZE[1] // CELL**2
        x, y = (image[band][known] / 3 for band in range(2))
        columns = SIZE[1] // CELL
        away_x = (x - (cell % columns * CELL + (CELL - 1) / 2)).abs()
        away_y = (y - (cell // columns * CELL + (CELL - 1) / 2)).abs()
        # Half a cell, and a pixel for the one that an image mixes and a mask does not.
        assert torch.stack([away_x, away_y]).max() <= CELL / 2 + 1.0
        for mask, number in zip(found.targets["masks"], (9, 20), strict=True):
            assert torch.equal(mask.bool(), semantic == number)
        assert found.record.geometry is None
        assert int(found.targets["class"]) == 3


@pytest.mark.parametrize(("name", "parameters"), GEOMETRIC)
def test_what_comes_in_from_outside_counts_nowhere(name, parameters):
    for fill in (None, 127):
        takes = name not in ("CenterCrop", "Resize", "RandomResizedCrop") and "Flip" not in name
        given = parameters | ({"fill": fill} if fill is not None and takes else {})
        found = transformed(name, given)
        outside = found.targets["semantic"] == 255
        assert outside.any() or name not in FILLS_UP
        value = fill if fill is not None and takes else 0
        # Not all of them, since an image mixes pixels at its edge.
        assert (found.image[2][outside] == value).float().mean() > 0.6 or not outside.any()
        assert not found.targets["masks"][:, outside].any()


@pytest.mark.filterwarnings("ignore:RandomErasing")
@pytest.mark.parametrize(("name", "parameters"), PIXELS)
def test_what_changes_pixels_alone_leaves_the_masks(name, parameters):
    found = transformed(name, parameters)
    assert not torch.equal(found.image, sample().image)
    assert torch.equal(found.targets["semantic"], sample().targets["semantic"])
    assert torch.equal(found.targets["masks"], sample().targets["masks"])


@pytest.mark.parametrize(("name", "parameters"), GEOMETRIC)
def test_nothing_in_a_picture_stays_nothing(name, parameters):
    given = sample()
    nothing = {
        "masks": torch.zeros((0, *SIZE), dtype=torch.uint8),
        "boxes": torch.zeros((0, 4)),
        "labels": torch.zeros(0, dtype=torch.int64),
    }
    found = transformed(
        name, parameters, 0, gvt.Sample({"image": given.image}, nothing, given.record)
    )
    assert found.targets["masks"].shape == (0, *found.image.shape[1:])
    assert found.targets["boxes"].shape == (0, 4)


@pytest.mark.parametrize("name", ["RandAugment", "TrivialAugmentWide", "AutoAugment", "AugMix"])
def test_what_cannot_be_done_to_masks_is_one_line(name):
    given = sample()
    says = rf"^data\.transforms: {name}\(\) transforms images only, .* has boxes, masks, semantic;"
    with pytest.raises(gvt.ConfigError, match=says):
        transformed(name, {}, 0, given)
    named = gvt.Sample({"image": given.image}, {"class": torch.tensor(3)}, given.record)
    assert transformed(name, {}, 0, named).image.shape == given.image.shape
