"""The six detectors of gvt on the same photographs: training steps and predictions.

python benchmarks/detectors.py

All stand on a ResNet18, those that look at a pyramid on one of 64 channels. R-CNN and Fast R-CNN
get the same proposals, of selective search, which is timed apart, and Faster R-CNN as many of its
own; all three learn from as many of them. R-CNN's crops have a ninth of the photograph's pixels,
as 227 x 227 of 600 x 800 in the literature. Before they are timed all learn the photographs for a
while, since who thinks nothing of a picture finds objects everywhere, and spends its time on that.
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
"""Pixels of an object's sides: what of selective search's boxes is taken for one."""
REGIONS = 64
"""Regions of a photograph that R-CNN and its heirs learn from."""
DETECTORS = ("rcnn", "fast_rcnn", "faster_rcnn", "yolo_grid", "ssd", "fcos")
ON_A_PYRAMID = ("fast_rcnn", "faster_rcnn", "fcos")
SEARCH = "selective_search"


def task_of(name: str, proposals: int) -> gvt.Task:
    """Return a detector with new weights."""
    backbone = gvt.create("backbone", "timm", model="resnet18", image_shape=(3, *CANVAS))
    if name == "rcnn":
        of_crops = {"crop": CROP, "context": CONTEXT, "roi_batch": REGIONS, "proposals": proposals}
        return gvt.create("task", name, backbone=backbone, num_classes=CLASSES, **of_crops)
    if name in ON_A_PYRAMID:
        backbone = gvt.create("backbone", "fpn", backbone=backbone, channels=64, pool=True)
    known = {
        "fast_rcnn": {"roi_batch": REGIONS, "proposals": proposals},
        "faster_rcnn": {"roi_batch": REGIONS, "proposals_predict": (proposals, proposals)},
    }
    head = gvt.create(
        "head",
        name,
        feature_info=backbone.feature_info,
        num_classes=CLASSES,
        **known.get(name, {}),
    )
    return gvt.MultiHead(backbone, {"objects": head})


def photographs(count: int) -> Tensor:
    """Return photographs (N, 3, H, W) in [0, 1]."""
    found = []
    for index in range(count):
        picture = torch.from_numpy(PHOTOGRAPHS[index % len(PHOTOGRAPHS)]()).permute(2, 0, 1)
        found.append(F.interpolate(picture[None].float() / 255, CANVAS, mode="area")[0])
    return torch.stack(found)


def searched(images: Tensor, most: int) -> list[Tensor]:
    """Return the proposals of selective search."""
    from gvt_detect.proposing import proposals_in

    return [proposals_in(image, SEARCH, most) for image in images]


def batch_of(images: Tensor, proposals: list[Tensor]) -> gvt.Batch:
    """Return photographs with proposals, some of which are declared to be objects."""
    boxes = []
    for of_image in proposals:
        sides = of_image[:, 2:] - of_image[:, :2]
        likely = of_image[((sides >= SIDES[0]) & (sides <= SIDES[1])).all(dim=1)]
        boxes.append(likely[torch.randperm(len(likely))[:OBJECTS]])
    labels = [torch.arange(len(of_image)) % CLASSES for of_image in boxes]
    targets = gvt.Targets({}, {"boxes": boxes, "labels": labels})
    frame = gvt.Frame((CANVAS,) * len(images), CANVAS)
    return gvt.Batch(images, frame, {"proposals": proposals}, targets)


def training(task: gvt.Task, batch: gvt.Batch) -> Callable[[], None]:
    """Return an iteration of a task, all its phases, as gvt's loop does it."""
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
    """Return a prediction of all photographs."""

    @torch.no_grad()
    def prediction() -> None:
        task.eval()
        task.predict(batch)

    return prediction


def measure(
    rounds: int, untimed: int, images: int, proposals: int, steps: int
) -> dict[str, list[float]]:
    """Return the seconds an image of each round, by `detector/train` and `detector/predict`."""
    torch.manual_seed(0)
    pictures = photographs(images)
    batch = batch_of(pictures, searched(pictures, proposals))
    sides: dict[str, Callable[[], object]] = {SEARCH: lambda: searched(pictures, proposals)}
    for name in DETECTORS:
        task = task_of(name, proposals)
        sides[f"{name}/train"] = iteration = training(task, batch)
        sides[f"{name}/predict"] = predicting(task, batch)
        for _ in range(steps):
            iteration()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(untimed + rounds):
        # To and fro, so that nobody always comes after the same other one.
        for name in list(sides)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            sides[name]()
            if number >= untimed:
                seconds[name].append((time.perf_counter() - started) / images)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="of all detectors")
    parser.add_argument("--untimed", type=int, default=1, help="rounds before the timed ones")
    parser.add_argument("--images", type=int, default=2, help="photographs of a batch")
    parser.add_argument("--proposals", type=int, default=1000, help="of a photograph, at most")
    parser.add_argument("--steps", type=int, default=20, help="of learning before, untimed")
    given = parser.parse_args()
    print(json.dumps(measure(**vars(given))))


if __name__ == "__main__":
    main()
