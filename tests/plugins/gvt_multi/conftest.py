"""Checkpoints of heads that were trained alone, on one frozen backbone."""

from dataclasses import replace
from itertools import count

import pytest
import torch

import gvt
from gvt.checkpoint import load as read_checkpoint
from gvt.checkpoint import save as write_checkpoint
from gvt_registry import default_registry

SCENES = {
    "name": "scenes",
    "size": 32,
    "count": 8,
    "held_out": 4,
    "objects": [1, 2],
    "digit_size": [12, 18],
    "channels": 1,
}
HEADS = {
    "label": {"name": "classifier"},
    "ink": {"name": "fcn", "finest": 1},
    "boxes": {"name": "fcos", "layers": 1, "maps": ["stage3"]},
}
PETS = {"name": "renamed", "of": SCENES, "classes": ["cat", "3", "dog"]}
FROZEN = "train.unfreeze={backbone: never}"


class Renamed:
    """Scenes with other classes: digit i is class i modulo their number."""

    splits = ("train", "val", "test")

    def __init__(self, split: str, of: gvt.Dataset, classes: list[str]) -> None:
        self._of, number = of, len(classes)
        self.info = replace(of.info, classes=classes, labels=of.info.labels % number)
        self._table = torch.tensor([*(i % number for i in range(10)), number])

    def __len__(self):
        return len(self._of)

    def __getitem__(self, index):
        sample = self._of[index]
        keys = sample.targets.keys() & {"class", "labels", "semantic"}
        targets = {key: self._table[sample.targets[key].long()] for key in keys}
        return replace(sample, targets=sample.targets | targets)


@pytest.fixture(scope="package")
def renamed():
    """Offer the data set `renamed`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_registry(), "_in_code", {})
        gvt.register("dataset", "renamed")(Renamed)
        yield


@pytest.fixture(scope="package")
def train(renamed, tmp_path_factory):
    """Return a function that trains heads for two steps, and returns the checkpoint."""
    root, numbers = tmp_path_factory.mktemp("runs"), count()

    def run(heads, *overrides, data=SCENES):
        recipe = {
            "recipe": f"run{next(numbers)}",
            "task": {"name": "heads"},
            "data": {"batch_size": 4, "workers": 0, **data},
            "backbone": {"name": "unet_encoder", "width": 4, "depth": 2},
            "heads": heads,
            "optimizers": {"model": {"name": "AdamW", "lr": 1e-2}},
            "train": {"steps": 2, "precision": "float32", "ema": {"decay": 0.5}},
            "device": "cpu",
            "run": {"root": str(root)},
        }
        return gvt.run(recipe, *overrides, quiet=True).checkpoint

    return run


@pytest.fixture(scope="package")
def common(train):
    """The checkpoint of the backbone, with a head of its own."""
    return train({"digit": {"name": "classifier"}})


@pytest.fixture(scope="package")
def frozen(train, common):
    """Return a function that trains heads on the frozen backbone, and returns the checkpoint."""

    def run(heads, *overrides, **settings):
        return train(heads, FROZEN, f"init_from={common}", *overrides, **settings)

    return run


@pytest.fixture(scope="package")
def single(frozen):
    """The checkpoints of three heads that were trained alone."""
    return {name: frozen({name: head}) for name, head in HEADS.items()}


@pytest.fixture(scope="package")
def pet(frozen):
    """The checkpoint of a head with other classes."""
    return frozen({"pet": {"name": "classifier"}}, data=PETS)


@pytest.fixture(scope="package")
def batch():
    """Held-out scenes as a batch."""
    name, *parameters = SCENES.items()
    scenes = gvt.create("dataset", name[1], split="test", **dict(parameters))
    samples = [scenes[index] for index in range(len(scenes))]
    images = torch.stack([sample.image for sample in samples]).float() / 255
    batch = gvt.Batch.of_images(images)
    return replace(batch, records=[sample.record for sample in samples])


@pytest.fixture
def edited(tmp_path):
    """Return a function that copies a checkpoint with a changed document, or changed tensors."""
    numbers = count()

    def copy_of(path, change):
        document, tensors = read_checkpoint(path)
        change(document, tensors)
        target = tmp_path / f"edited{next(numbers)}.safetensors"
        write_checkpoint(target, tensors, document)
        return target

    return copy_of
