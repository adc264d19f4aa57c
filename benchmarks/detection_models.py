"""Compare Faster R-CNN and Mask R-CNN of gvt with those of torchvision, with equal weights.

python benchmarks/detection_models.py faster_rcnn
python benchmarks/detection_models.py mask_rcnn --predict

Both have the same backbone, a ResNet18 with a pyramid of 64 channels, and the same synthetic
images. They run alternately in one process, in blocks of optimiser steps or predictions. Before
that, both have to return the same losses or boxes.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

import gvt

CANVAS = (256, 320)
"""Multiples of 64; for other sizes torchvision misplaces the anchors of the coarsest map."""
OBJECTS = 12
CLASSES = 3
UNTIMED = 1
"""Warm-up blocks before the timed ones."""

LOSSES = {
    "objectness": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
    "classification": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
}


class TorchvisionBackbone(nn.Module):
    """A backbone with the interface of torchvision's models: maps of a head, and their width."""

    def __init__(self, backbone: gvt.Backbone, maps: list[str]) -> None:
        super().__init__()
        self.backbone, self.maps = backbone, maps
        self.out_channels = backbone.feature_info[maps[0]][0]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps."""
        features = self.backbone(images)
        return {name: features[name] for name in self.maps}


def ours_of(name: str) -> gvt.MultiHead:
    """Return gvt's model."""
    resnet = gvt.create("backbone", "timm", model="resnet18", image_shape=(3, *CANVAS))
    backbone = gvt.create("backbone", "fpn", backbone=resnet, channels=64, pool=True)
    head = gvt.create("head", name, feature_info=backbone.feature_info, num_classes=CLASSES)
    return gvt.MultiHead(backbone, {"objects": head})


def theirs_of(name: str, ours: gvt.MultiHead) -> nn.Module:
    """Return torchvision's model with the same weights."""
    head = ours.heads["objects"]
    roi = head.roi_heads
    pooled = roi.box_roi_pool.featmap_names
    masks = {"mask_roi_pool": MultiScaleRoIAlign(pooled, 14, 2)} if name == "mask_rcnn" else {}
    build = detection.MaskRCNN if name == "mask_rcnn" else detection.FasterRCNN
    model: nn.Module = build(
        TorchvisionBackbone(copy.deepcopy(ours.backbone), head.maps),
        CLASSES + 1,
        rpn_anchor_generator=AnchorGenerator(
            head.rpn.anchor_generator.sizes, ((0.5, 1.0, 2.0),) * len(head.maps)
        ),
        box_roi_pool=MultiScaleRoIAlign(pooled, 7, 2),
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        min_size=CANVAS[0],
        max_size=CANVAS[1],
        _skip_resize=True,
        **masks,
    )
    model.rpn.load_state_dict(head.rpn.state_dict())
    model.roi_heads.load_state_dict(roi.state_dict())
    return model


def batch_of(images: int) -> gvt.Batch:
    """Return images of noise with boxes, and half of each box as its mask."""
    corners = torch.rand(images, OBJECTS, 2) * torch.tensor([220.0, 140.0])
    boxes = torch.cat([corners, corners + 30 + torch.rand(images, OBJECTS, 2) * 60], dim=2)
    masks = torch.zeros(images, OBJECTS, *CANVAS, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks.flatten(0, 1), boxes.view(-1, 4).int(), strict=True):
        mask[y1:y2, x1 : (x1 + x2) // 2] = 1
    labels = torch.randint(CLASSES, (images, OBJECTS))
    targets = gvt.Targets({}, {"boxes": list(boxes), "labels": list(labels), "masks": list(masks)})
    return gvt.Batch.of_images(torch.rand(images, 3, *CANVAS), targets=targets)


def training(ours: gvt.MultiHead, theirs: nn.Module, batch: gvt.Batch) -> list[Callable[[], None]]:
    """Return a function for an optimiser step of each, after checking that losses are equal."""
    assert batch.targets is not None
    images = list(batch.images)
    truth = [{**t, "labels": t["labels"] + 1} for t in batch.targets.per_image(len(batch))]

    def our_losses() -> dict[str, Tensor]:
        return ours("supervised", batch, gvt.Step(0))

    def their_losses() -> dict[str, Tensor]:
        losses = theirs(images, truth)
        return {name: losses[other] for name, other in LOSSES.items() if other in losses}

    values = []
    for model, losses in ((ours, our_losses), (theirs, their_losses)):
        model.train()
        torch.manual_seed(0)
        values.append({name: loss.detach() for name, loss in losses().items()})
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-5)
    return [_step(ours, our_losses), _step(theirs, their_losses)]


def _step(model: nn.Module, losses: Callable[[], dict[str, Tensor]]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        torch.manual_seed(0)
        optimizer.zero_grad()
        torch.stack(list(losses().values())).sum().backward()
        optimizer.step()

    return step


def predicting(
    ours: gvt.MultiHead, theirs: nn.Module, batch: gvt.Batch
) -> list[Callable[[], object]]:
    """Return a function for a prediction of each, after checking that predictions are equal."""
    ours.eval()
    theirs.eval()
    images = list(batch.images)

    @torch.no_grad()
    def our_predictions() -> list[gvt.Prediction]:
        return ours.predict(batch)

    @torch.no_grad()
    def their_predictions() -> list[gvt.Prediction]:
        return theirs(images)

    for one, other in zip(our_predictions(), their_predictions(), strict=True):
        torch.testing.assert_close(one["objects"]["boxes"], other["boxes"], rtol=1e-5, atol=1e-3)
    return [our_predictions, their_predictions]


def measure(
    name: str, predict: bool, rounds: int, block: int, images: int
) -> dict[str, list[float]]:
    """Return the seconds for each step, by block, of both models."""
    torch.manual_seed(0)
    ours, batch = ours_of(name), batch_of(images)
    theirs = theirs_of(name, ours)
    sides = (predicting if predict else training)(ours, theirs, batch)
    seconds: dict[str, list[float]] = {"gvt": [], "torchvision": []}
    for number in range(rounds + UNTIMED):
        for run, times in zip(sides, seconds.values(), strict=True):
            started = time.perf_counter()
            for _ in range(block):
                run()
            if number >= UNTIMED:
                times.append((time.perf_counter() - started) / block)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("head", choices=["faster_rcnn", "mask_rcnn"])
    parser.add_argument("--predict", action="store_true", help="time predictions instead of steps")
    parser.add_argument("--rounds", type=int, default=10, help="number of blocks of each model")
    parser.add_argument("--block", type=int, default=2, help="steps in a block")
    parser.add_argument("--images", type=int, default=4, help="images in a batch")
    args = parser.parse_args()
    print(json.dumps(measure(args.head, args.predict, args.rounds, args.block, args.images)))


if __name__ == "__main__":
    main()
