"""Make golden checkpoints: one of a small run of each family, and what it computes.

    python tests/golden/make.py tests/golden/format1 [NAME ...]

For each name of `RUNS` two files are written, which no later version of gvt may change:

- `NAME.safetensors`, the checkpoint of a run in the middle of an epoch, and
- `NAME.npz`, plain arrays: `images`, for texts their tokens, what `outputs` computes for them
  (`output:...`), the losses of the ten steps after the checkpoint (`loss:...`, float64), and with
  which `torch`, `capability` and number of `threads` all this was computed.

Files that are there are kept: make those of another format or family into another folder. Those in
`format1` were made by commit 3d7cab2, the last one to write checkpoints of format 1. `texts.csv` is
the data of `classifier_text`, found in the folder where make.py and the tests run.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import gvt
from gvt.checkpoint import file as checkpoint_file
from gvt.predictions import by_head, short_name
from gvt.session.build import build_dataset

STEP = 4
"""The step of the checkpoint; in epochs of three steps it is the first one of the second epoch."""

NEXT = 10
"""Steps after it whose losses are kept."""

PLAIN = [
    f"train.steps={STEP + NEXT}",
    f"train.checkpoint_every={STEP}",
    "train.keep=9",
    "train.log_every=1",
    "train.precision=float32",
    "train.memory_format=contiguous",
    "train.compile=false",
    "train.pictures_every=null",
    "device=cpu",
    "data.workers=0",
    "evaluate={}",
]
"""What depends on no machine, as far as gvt decides it."""

DIGITS = ["data.classes=[3, 5]", "data.holdout=59700", "data.batch_size=16"]
SCENES = [
    "data.digit_size=[10, 20]",
    "data.objects=[1, 3]",
    "data.count=12",
    "data.held_out=4",
    "data.batch_size=4",
]
SMALL, LARGER = [*SCENES, "data.size=32"], [*SCENES, "data.size=48"]
SGD = "optimizers.model={name: SGD, lr: 1e-3, momentum: 0.9}"
PLAIN_SGD = "optimizers.model={name: SGD, lr: 1e-3}"  # which has no state to keep
SCHEDULE = "optimizers.model.schedule={name: CosineAnnealingLR, T_max: auto}"
TINY_RCNN = {
    "name": "mask_rcnn", "maps": ["stage3", "stage4"], "hidden": 16, "roi_size": 3,
    "anchor_sizes": [[8, 16], [16, 32]], "mask_size": 6, "mask_layers": [8],
    "proposals_train": [60, 40], "proposals_predict": [60, 20], "rpn_batch": 32, "roi_batch": 24,
}  # fmt: skip
ALL_REGIONS = {"proposals_train": [400, 400], "roi_batch": 400, "rpn_batch": 600}
"""No draw, so that the last bits, which differ between machines, decide less."""
TINY_PYRAMID = (
    "backbone={name: fpn, backbone: {name: unet_encoder, width: 4, depth: 3}, channels: 16}"
)

RUNS: dict[str, tuple[str, list[str]]] = {
    "gan": (
        "gan.mnist",
        [
            *DIGITS,
            "generator={name: dcgan, latent: 16, width: 8}",
            "discriminator={name: dcgan, width: 8, dropout: 0.3}",
            "task.critic_steps=2",
            "optimizers.generator.schedule={name: CosineAnnealingLR, T_max: auto}",
            "optimizers.discriminator.warmup=6",
        ],
    ),
    "gan_classes": (
        "gan.mnist_classes",
        [
            *DIGITS,
            "task.sheet=[2, 2]",
            "generator={name: dcgan, latent: 16, width: 8, conditional: true}",
            "discriminator.backbone.widths=[8, 16]",
        ],
    ),
    "classifier": (
        "classify.mnist",
        [
            *DIGITS,
            "data.batch_size=8",
            "data.resident=false",
            "data.balance=true",
            "data.transforms=[{name: RandomAffine, degrees: 10}]",
            "data.batch_transforms=[{name: MixUp}]",
            "backbone.widths=[8, 16]",
            "heads.digit.hidden=[24]",
            "heads.digit.dropout=0.3",
            "heads.digit.label_smoothing=0.1",
            "optimizers.model.warmup=6",
            "optimizers.model.rates={backbone: 0.5}",
            "train.accumulate=2",
            "train.clip_norm=1",
            "train.unfreeze={backbone.stages.stage1: 7}",
            "train.ema={decay: 0.9}",
        ],
    ),
    "classifier_convnext": (
        "classify.mnist",
        [
            "data.classes=[3, 5]",
            "data.holdout=59900",
            "data.batch_size=5",
            "backbone={name: timm, model: test_convnext, stages: [1, 2]}",
            "heads.digit={name: classifier}",
            PLAIN_SGD,
            SCHEDULE,
        ],
    ),
    "segmenter_unet": (
        "segment.scenes",
        [
            *SMALL,
            "backbone={name: unet_encoder, width: 4, depth: 3}",
            "heads.mask={name: unet, up: transpose}",
        ],
    ),
    "segmenter_unet_paper": (
        "segment.scenes",
        [
            *SMALL,
            "backbone={name: unet_encoder, width: 4, depth: 2, norm: none, padding: valid}",
            "heads.mask={name: unet, up: transpose, norm: none, padding: valid}",
            SGD,
        ],
    ),
    "segmenter_unet_timm": (
        "segment.scenes",
        [
            *SMALL,
            "backbone={name: timm, model: test_efficientnet}",
            "heads.mask={name: unet}",
            PLAIN_SGD,
            SCHEDULE,
            "data.resident=false",
            "data.transforms=[{name: RandomCrop, size: 32, padding: 6},"
            " {name: RandomHorizontalFlip}]",
            "train.ema=null",
        ],
    ),
    "segmenter_swin": (
        "segment.scenes",
        [
            *SMALL,
            "data.size=28",
            "backbone={name: timm, model: swin_tiny_patch4_window7_224, stages: [1]}",
            "heads.mask={name: deeplab, width: 16}",
            PLAIN_SGD,
            "train.ema=null",
        ],
    ),
    "detector": (
        "detect.scenes",
        [*LARGER, TINY_PYRAMID, f"heads.digits={json.dumps(TINY_RCNN)}", SGD, SCHEDULE],
    ),
    "detectors": (
        "detect.scenes",
        [
            *LARGER,
            "data.targets=[boxes, labels]",
            TINY_PYRAMID,
            "heads={fcos: {name: fcos, layers: 1}, ssd: {name: ssd, extra_channels: 8},"
            " yolo: {name: yolo_grid, feature: stage4, grid: 3, hidden: [8]},"
            " faster: {name: faster_rcnn, hidden: 16, roi_size: 3}}",
            PLAIN_SGD,
            "train.ema=null",
        ],
    ),
    "several_heads": (
        "multi.scenes",
        [
            *SMALL,
            "task={name: heads, weighting: uncertainty, weights: {ink: 2}}",
            TINY_PYRAMID,
            "heads.largest.hidden=[16]",
            f"heads.digits={json.dumps(TINY_RCNN | ALL_REGIONS)}",
            "heads.pixels={name: unet}",
            PLAIN_SGD,
            SCHEDULE,
            "data.transforms=[{name: RandomHorizontalFlip}]",
        ],
    ),
    "rcnn": (
        "detect.scenes",
        [
            *LARGER,
            "task={name: rcnn, crop: 16, context: 2, proposer: windows, proposals: 40,"
            " roi_batch: 16, box_iou: 0.4}",
            "data.targets=[boxes, labels]",
            "heads={}",
            "backbone={name: unet_encoder, width: 4, depth: 2}",
            "optimizers={network: {name: SGD, lr: 1e-3, momentum: 0.9},"
            " svm: {name: SGD, lr: 1e-4, weight_decay: 1e-3},"
            " boxes: {name: SGD, lr: 1e-4, weight_decay: 1e-3}}",
            "train.ema=null",
        ],
    ),
    "mixed_data": (
        "multi.scenes",
        [
            "data={name: mixed, batch_size: 4, shares: {digits: 1, boxed: 2}, parts: {"
            "digits: {name: scenes, size: 32, count: 5, held_out: 2, targets: [class]},"
            " boxed: {name: scenes, size: [32, 40], count: 7, held_out: 2, seed: 1,"
            " targets: [boxes, labels, semantic]}}}",
            "task={name: heads}",
            TINY_PYRAMID,
            "heads={largest: {name: classifier, learns_from: digits},"
            " boxes: {name: faster_rcnn, hidden: 16, roi_size: 3, learns_from: boxed},"
            " ink: {name: fpn, width: 8, learns_from: boxed}}",
            PLAIN_SGD,
            "train.ema.decay=0.9",
        ],
    ),
    "classifier_text": (
        "text.folder",
        [
            "data={name: text_folder, root: texts.csv, batch_size: 8, length: 12, vocabulary: 12,"
            " test: 0.25}",
            "backbone={name: text_cnn, embedding: 8, filters: 8, width: 2}",
            "heads.topic={name: classifier, pool: max, hidden: [8], one_logit: true}",
            SCHEDULE,
            "train.ema={decay: 0.9}",
        ],
    ),
}
"""By name the recipe and what is changed of it."""


def batch_of(images: np.ndarray) -> gvt.Batch:
    """Return images (N, C, H, W) uint8, or tokens (N, L), as a batch."""
    values = torch.from_numpy(images)
    if values.ndim == 2:
        return gvt.Batch({"tokens": values})
    return gvt.Batch.of_images(values.float() / 255)


def outputs(task: gvt.Task, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a task computes for the inputs that `batch_of` takes, as arrays by name."""
    batch = batch_of(images)
    arrays: dict[str, np.ndarray] = {}
    with torch.no_grad():
        if hasattr(task, "generator"):
            arrays["sample"] = task.sample(4, 0).numpy()
            arrays["realness"] = task.discriminator(batch.images * 2 - 1).numpy()
        else:
            predictions = task.predict(batch)
            for number, prediction in enumerate(predictions):
                parts = by_head(prediction)
                arrays |= {
                    f"{number}/{short_name(head, parts, key)}": value.numpy()
                    for head, part in parts.items()
                    for key, value in part.items()
                }
    return arrays


def losses_after(metrics: Path, step: int) -> dict[str, np.ndarray]:
    """Return the losses of a run's `metrics.jsonl` after a step, by name; NaN where one lacks."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    losses: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        for name, value in row.items():
            if name.startswith("train/") and row["step"] > step:
                losses[name.removeprefix("train/")][row["step"] - step - 1] = value
    count = max(max(steps) for steps in losses.values()) + 1
    return {
        n: np.array([steps.get(i, np.nan) for i in range(count)]) for n, steps in losses.items()
    }


def make(name: str, target: Path) -> None:
    """Run the recipe of a name, and write its two files into a folder."""
    recipe, changes = RUNS[name]
    run = gvt.run(recipe, *PLAIN, *changes, quiet=True)
    assert run.folder is not None
    assert STEP % run.steps_per_epoch, f"{name}: {run.steps_per_epoch} steps an epoch"
    assert run.total_steps == STEP + NEXT
    checkpoint = run.folder / "checkpoints" / f"step_{STEP:08d}.safetensors"
    document, tensors = checkpoint_file.load(checkpoint)
    document["environment"]["platform"] = platform.system()  # the rest may name a machine
    golden = target / f"{name}.safetensors"
    checkpoint_file.save(golden, tensors, document)
    images = np.stack(_held_out(gvt.compose(recipe, [*PLAIN, *changes])))
    np.savez_compressed(
        target / f"{name}.npz",
        images=images,
        torch=str(torch.__version__),
        capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        **{f"output:{n}": a for n, a in outputs(gvt.load(golden), images).items()},
        **{f"loss:{n}": a for n, a in losses_after(run.folder / "metrics.jsonl", STEP).items()},
    )


def _held_out(config: gvt.RunConfig) -> list[np.ndarray]:
    """Return the first two test images of a run's data, (C, H, W) uint8, or tokens (L,)."""
    dataset = build_dataset(config, "test")
    inputs = [dataset[number].inputs for number in range(2)]
    return [np.asarray(of_sample.get("tokens", of_sample.get("image"))) for of_sample in inputs]


def main() -> None:
    """Make those files of a folder that are not there."""
    target = Path(sys.argv[1]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    here = tempfile.mkdtemp()
    shutil.copy(Path(__file__).parent / "texts.csv", here)
    os.chdir(here)  # runs go into `runs`, so that no path is in them
    try:
        for name in sys.argv[2:] or RUNS:
            if not (target / f"{name}.safetensors").exists():
                make(name, target)
                print(name)
    finally:
        os.chdir(target)
        shutil.rmtree(here)


if __name__ == "__main__":
    main()
