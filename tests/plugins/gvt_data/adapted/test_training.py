"""Tasks that learn from `gvt.dataset`: trained, resumed, and run on image files."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt

SIDE = 16


def squares(count, seed):
    """Return images with a bright square, red or green, and its box, class and pixels."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (count, SIDE, SIDE, 3), np.uint8)
    semantic = np.full((count, SIDE, SIDE), 2, np.uint8)
    boxes = []
    for number in range(count):
        x, y = random.integers(1, 7, 2)
        images[number, y : y + 8, x : x + 8, number % 2] = 220
        semantic[number, y : y + 8, x : x + 8] = number % 2
        boxes.append([[x, y, x + 8, y + 8]])
    return images, boxes, semantic


class Squares(torch.utils.data.Dataset):
    """The same as a data set of torch, for three heads."""

    classes = ("red", "green")

    def __init__(self, count, seed):
        self.images, self.boxes, self.semantic = squares(count, seed)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return torch.from_numpy(self.images[index]).permute(2, 0, 1), {
            "class": index % 2,
            "boxes": torch.tensor(self.boxes[index]),
            "labels": torch.tensor([index % 2]),
            "semantic": torch.from_numpy(self.semantic[index]),
        }


def test_three_heads_learn_from_a_data_set_of_torch():
    train, test = (
        gvt.dataset(Squares(32, seed), background=True, split=split)
        for seed, split in enumerate(("train", "test"))
    )
    torch.manual_seed(0)
    backbone = gvt.create("backbone", "unet_encoder", data=train, width=8, depth=3)
    facts = {"data": train, "backbone": backbone}
    heads = {
        "label": gvt.create("head", "classifier", **facts),
        "boxes": gvt.create("head", "fcos", **facts, layers=1, maps=["stage3"]),
        "pixels": gvt.create("head", "fcn", **facts, finest=1),
    }
    task = gvt.MultiHead(backbone, heads)
    settings, placement = gvt.TrainConfig(steps=20), gvt.Placement.resolve("cpu", "float32")
    config = gvt.DataConfig(name="squares", batch_size=8, workers=0)
    loader = gvt.Loader(train, config, settings, placement)
    adam = {"model": gvt.OptimizerConfig(name="AdamW", lr=5e-3)}
    gvt.Trainer(task, loader, adam, settings, placement).fit()
    metrics = gvt.evaluate(task, loader.held_out(test), classes=test.info.classes).metrics
    assert metrics["label/accuracy"] > 0.9
    assert metrics["pixels/mean_iou"] > 0.6
    assert metrics["loss/boxes/classification"] < 0.5


@pytest.fixture
def trained(tmp_path):
    """Return a data set, and a run of a classifier on it by `gvt.fit`."""
    images, _, _ = squares(24, 0)
    names = [("red", "green")[number % 2] for number in range(24)]
    train = gvt.dataset(images, labels=names)
    test = gvt.dataset(images[:8], labels=names[:8], split="test")
    torch.manual_seed(0)
    backbone = gvt.create("backbone", "unet_encoder", data=train, width=8, depth=3)
    head = gvt.create("head", "classifier", data=train, backbone=backbone)
    task = gvt.MultiHead(backbone, {"label": head})
    settings = {"batch_size": 8, "lr": 5e-3, "device": "cpu", "quiet": True, "recipe": "squares"}
    settings["run"] = {"root": str(tmp_path / "runs")}
    run = gvt.fit(task, train, held_out=test, steps=12, **settings)
    return task, train, run, settings


def test_a_run_on_arrays_predicts_files_and_is_resumed_with_the_same_data(trained, tmp_path):
    task, train, run, settings = trained
    photo = np.zeros((90, 120, 3), np.uint8)
    photo[20:70, 30:90, 1] = 220
    Image.fromarray(photo).save(tmp_path / "photo.png")
    (predicted,) = gvt.predict(run.folder, tmp_path / "photo.png")
    assert predicted.size == (90, 120)
    assert predicted.summary["class"] in train.info.classes

    same = gvt.dataset(squares(24, 0)[0], labels=["red", "green"] * 12)
    assert gvt.fit(task, same, steps=14, resume=True, **settings).step == 14
    other = gvt.dataset(squares(24, 5)[0], labels=["red", "green"] * 12)
    with pytest.raises(gvt.ConfigError, match="its files or samples are other ones"):
        gvt.fit(task, other, steps=16, resume=True, **settings)


def test_fit_takes_a_data_set_of_torch(tmp_path):
    pairs = [(pixels, number % 2) for number, pixels in enumerate(squares(16, 0)[0])]
    train = gvt.dataset(pairs)
    backbone = gvt.create("backbone", "unet_encoder", data=train, width=4, depth=2)
    head = gvt.create("head", "classifier", data=train, backbone=backbone)
    root = {"run": {"root": str(tmp_path)}, "device": "cpu"}
    task = gvt.MultiHead(backbone, {"label": head})
    run = gvt.fit(task, pairs, held_out=pairs, steps=2, batch_size=8, quiet=True, **root)
    assert "held_out/accuracy" in run.metrics
