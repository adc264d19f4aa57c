"""Compare the six detectors of gvt on the same photographs: training steps and predictions.

python benchmarks/detectors.py

All have a ResNet18 as backbone; those that use a pyramid have one of 64 channels. R-CNN and Fast
R-CNN use the same proposals of selective search, which is timed separately, and Faster R-CNN as
many of its own. All three train on the same number of proposals. The crops of R-CNN have a ninth of
the photograph's pixels, like 227 x 227 of 600 x 800 in the literature. All are trained for some
steps before the timing, since untrained detectors spend their time on objects everywhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

import gvt

PHOTOGRAPHS = (data.astronaut, data.coffee, data.chelsea, data.rocket)
CANVAS = (256, 320)
CROP, CONTEXT = 96, 7
CLASSES = 3
OBJECTS = 8
SIDES = (30, 150)
"""Least and greatest side, in pixels, of the proposals that are used as objects."""
REGIONS = 64
"""Regions of a photograph that R-CNN, Fast R-CNN and Faster R-CNN train on."""
DETECTORS = ("rcnn", "fast_rcnn", "faster_rcnn", "yolo_grid", "ssd", "fcos")
ON_A_PYRAMID = ("fast_rcnn", "faster_rcnn", "fcos")
SEARCH = "selective_search"


def task_of(name: str, proposals: int) -> gvt.Task:
    """Return a detector with random weights."""
    backbone = gvt.create("backbone", "timm", model="resnet18", image_shape=(3, *CANVAS))
    if name == "rcnn":
        parameters = {"crop": CROP, "context": CONTEXT, "roi_batch": REGIONS}
        return gvt.create(
            "task",
            name,
            backbone=backbone,
            num_classes=CLASSES,
            proposals=proposals,
            **parameters,
        )
    if name in ON_A_PYRAMID:
        backbone = gvt.create("backbone", "fpn", backbone=backbone, channels=64, pool=True)
    parameters = {
        "fast_rcnn": {"roi_batch": REGIONS, "proposals": proposals},
        "faster_rcnn": {"roi_batch": REGIONS, "proposals_predict": (proposals, proposals)},
    }
    head = gvt.create(
        "head",
        name,
        feature_info=backbone.feature_info,
        num_classes=CLASSES,
        **parameters.get(name, {}),
    )
    return gvt.MultiHead(backbone, {"objects": head})


def photographs(count: int) -> Tensor:
    """Return photographs (N, 3, H, W) in [0, 1]."""
    images = []
    for index in range(count):
        image = torch.from_numpy(PHOTOGRAPHS[index % len(PHOTOGRAPHS)]()).permute(2, 0, 1)
        images.append(F.interpolate(image[None].float() / 255, CANVAS, mode="area")[0])
    return torch.stack(images)


def searched(images: Tensor, most: int) -> list[Tensor]:
    """Return the proposals of selective search."""
    from gvt_detect.proposing import proposals_in

    return [proposals_in(image, SEARCH, most) for image in images]


def batch_of(images: Tensor, proposals: list[Tensor]) -> gvt.Batch:
    """Return photographs with proposals, some of which are used as objects."""
    boxes = []
    for candidates in proposals:
        sides = candidates[:, 2:] - candidates[:, :2]
        objects = candidates[((sides >= SIDES[0]) & (sides <= SIDES[1])).all(dim=1)]
        boxes.append(objects[torch.randperm(len(objects))[:OBJECTS]])
    labels = [torch.arange(len(objects)) % CLASSES for objects in boxes]
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    frame = gvt.Frame((CANVAS,) * len(images), CANVAS)
    return gvt.Batch({"image": images, "proposals": proposals}, frame, targets)


def training(task: gvt.Task, batch: gvt.Batch) -> Callable[[], None]:
    """Return a function that trains one iteration, all phases in turn, like gvt's loop."""
    optimizers = {
        phase.name: torch.optim.AdamW(
            [p for name in phase.trained for p in task.get_submodule(name).parameters()], lr=1e-3
        )
        for phase in task.phases
    }

    def iteration() -> None:
        task.train()
        step = gvt.Step(0)
        for phase in task.phases:
            optimizers[phase.name].zero_grad()
            losses = task(phase.name, batch, step)
            if losses:
                torch.stack(list(losses.values())).sum().backward()
                optimizers[phase.name].step()

    return iteration


def predicting(task: gvt.Task, batch: gvt.Batch) -> Callable[[], None]:
    """Return a function that predicts all photographs."""

    @torch.no_grad()
    def prediction() -> None:
        task.eval()
        task.predict(batch)

    return prediction


def measure(
    rounds: int, untimed: int, images: int, proposals: int, steps: int
) -> dict[str, list[float]]:
    """Return the seconds for each image, by round, of `detector/train` and `detector/predict`."""
    torch.manual_seed(0)
    photos = photographs(images)
    batch = batch_of(photos, searched(photos, proposals))
    sides: dict[str, Callable[[], object]] = {SEARCH: lambda: searched(photos, proposals)}
    for name in DETECTORS:
        task = task_of(name, proposals)
        sides[f"{name}/train"] = iteration = training(task, batch)
        sides[f"{name}/predict"] = predicting(task, batch)
        for _ in range(steps):
            iteration()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(untimed + rounds):
        # In alternating order, so that no side always runs after the same other one.
        for name in list(sides)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            sides[name]()
            if number >= untimed:
                seconds[name].append((time.perf_counter() - started) / images)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="number of timed rounds")
    parser.add_argument("--untimed", type=int, default=1, help="rounds before the timed ones")
    parser.add_argument("--images", type=int, default=2, help="photographs in a batch")
    parser.add_argument(
        "--proposals", type=int, default=1000, help="largest number of proposals of a photograph"
    )
    parser.add_argument("--steps", type=int, default=20, help="training steps before the timing")
    args = parser.parse_args()
    print(json.dumps(measure(**vars(args))))


if __name__ == "__main__":
    main()
