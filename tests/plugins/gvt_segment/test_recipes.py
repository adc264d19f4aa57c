"""The segmentation recipes, run on small images."""

import numpy as np
import pytest
from PIL import Image

import gvt


def painted(root, count=12, size=(40, 56)):
    """Paint ellipses of two colours on noise, with masks whose values are 0, 100 and 255."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    y, x = np.mgrid[: size[0], : size[1]]
    for number in range(count):
        random = np.random.default_rng(number)
        image, mask = random.integers(0, 120, (*size, 3)), np.zeros(size, np.uint8)
        for value in (100, 255):
            cy, cx = random.integers(8, size[0] - 8), random.integers(8, size[1] - 8)
            mask[((y - cy) / 8) ** 2 + ((x - cx) / 10) ** 2 < 1] = value
        for value, colour in ((100, (130, 0, 0)), (255, (0, 130, 0))):
            image[mask == value] += colour
        Image.fromarray(image.astype(np.uint8)).save(root / f"images/{number}.png")
        Image.fromarray(mask).save(root / f"masks/{number}.png")
    return root


SMALL = ("backbone.width=4", "backbone.depth=2", "device=cpu", "train.precision=float32")


def test_missing_data_are_one_line_with_source_licence_and_layout(monkeypatch, tmp_path):
    monkeypatch.setenv("GVT_DATA", str(tmp_path))
    with pytest.raises(gvt.DataError) as caught:
        gvt.run("segment.membrane", quiet=True)
    text = str(caught.value)
    assert "\n" not in text
    assert all(part in text for part in ("membrane", "github.com/zhixuhao/unet", "MIT", "label/"))


def test_a_folder_of_images_and_masks_is_learned(tmp_path):
    run = gvt.run(
        "segment.folder",
        *(f"data.root={painted(tmp_path / 'mine', 30)}", f"run.root={tmp_path}", *SMALL),
        *("data.transforms=[{name: RandomHorizontalFlip}]", "data.classes={a: 100, b: 255}"),
        *("data.background=0", "data.workers=0", "train.steps=40", "optimizers.model.warmup=5"),
        *("optimizers.model.lr=1e-2", "evaluate.every=20", "backbone.width=8"),
        quiet=True,
    )
    assert run.metrics["val/mean_iou"] > 0.7
    assert {"val/iou/a", "val/iou/b", "val/iou/background"} <= run.metrics.keys()


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_ends_with_the_same_bits(workers, tmp_path, same_tensors):
    undisturbed = gvt.run(
        "segment.folder",
        *(f"data.root={painted(tmp_path / 'mine')}", f"run.root={tmp_path}", *SMALL),
        *("data.batch_size=4", "data.ignore=255", "train.ema.decay=0.9"),
        *("train.steps=6", "train.checkpoint_every=4", "train.keep=9", "train.accumulate=2"),
        *(f"data.workers={workers}", "evaluate.every=null", "evaluate.best=null"),
        "data.transforms=[{name: RandomCrop, size: 32}, {name: RandomVerticalFlip}]",
        "heads.mask.losses={focal: focal, lovasz: lovasz}",
        quiet=True,
    )
    final = undisturbed.checkpoint.rename(tmp_path / "undisturbed.safetensors")
    resumed = gvt.resume(undisturbed.checkpoint.with_name("step_00000004.safetensors"), quiet=True)
    assert resumed.step == undisturbed.step
    same_tensors(final, resumed.checkpoint)


def test_another_head_or_backbone_is_one_word(tmp_path):
    run = gvt.run(
        "segment.scenes",
        *("heads.mask.name=deeplab", "backbone.name=small_cnn", f"run.root={tmp_path}"),
        *(
            "data.size=48",
            "data.digit_size=[12, 24]",
            "data.count=16",
            "data.held_out=4",
            "train.steps=1",
        ),
        "evaluate.every=null",
        quiet=True,
    )
    assert 0 <= run.metrics["test/mean_iou"] <= 1
