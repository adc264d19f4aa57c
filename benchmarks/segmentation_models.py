"""Compare gvt's U-Net on a ResNet18 with that of segmentation_models.pytorch in a plain loop.

python benchmarks/segmentation_models.py

Both have timm's encoder without pretrained weights, decoders of the same widths, the cross entropy,
and the same batches, optimiser, precision and memory format. They run alternately in one process,
in blocks of steps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from loop_overhead import OFF, UNTIMED
from torch import Tensor, nn

import gvt
from gvt.data.order import Order
from gvt.data_info import DataInfo
from gvt.device.placement import keep_freed_memory
from gvt.seeding import seed_everything
from gvt.session.build import build_task, open_dataset

WIDTHS = (256, 128, 64, 32, 16)
RECIPE = (
    "data.batch_size=16",
    "data.size=128",
    "data.digit_size=[32, 60]",
    "data.count=512",
    "data.transforms=[]",
    "data.batch_transforms=[]",
    "backbone={name: timm, model: resnet18}",
    f"heads.mask={{name: unet, widths: {list(WIDTHS)}, up: nearest}}",
    "optimizers.model={name: AdamW, lr: 1e-3}",
    "train.ema=null",
    "train.clip_norm=null",
)


class Plain:
    """A plain training loop for the U-Net of segmentation_models.pytorch."""

    def __init__(self, dataset: gvt.Dataset, classes: int, order: Order, precision: str) -> None:
        self.network: nn.Module = smp.Unet(
            "tu-resnet18",
            encoder_weights=None,
            in_channels=dataset.info.image_shape[0],
            classes=classes,
            decoder_channels=WIDTHS,
        ).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, fused=True)
        inputs, targets = dataset.tensors()
        self.images = inputs["image"]
        self.truth = targets["semantic"]
        self.batches = _batches(order)
        self.precision = getattr(torch, precision)

    def step(self) -> Tensor:
        """Train on one batch, and return its loss."""
        indices = next(self.batches)
        images = self.images[indices].float().div_(255)
        images = images.contiguous(memory_format=torch.channels_last)
        self.optimizer.zero_grad()
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            logits = self.network(images)
            loss = F.cross_entropy(logits.float(), self.truth[indices].long(), ignore_index=255)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class InTurns(gvt.Listener):
    """Run a block of the plain loop after each block of gvt's loop, and time both."""

    def __init__(self, other: Plain, block: int) -> None:
        self.other, self.block = other, block
        self.seconds: dict[str, list[float]] = {"gvt": [], "segmentation_models": []}
        self.started = time.perf_counter()

    def step_ended(self, run: gvt.Run, losses: object) -> None:
        """Record the time at the end of a block, and run a block of the other loop."""
        if run.step % self.block:
            return
        ended = time.perf_counter()
        # Losses are read once for each block, since gvt reads its losses at intervals, too.
        torch.stack([self.other.step() for _ in range(self.block)]).tolist()
        if run.step // self.block > UNTIMED:
            self.seconds["gvt"].append((ended - self.started) / self.block)
            self.seconds["segmentation_models"].append((time.perf_counter() - ended) / self.block)
        self.started = time.perf_counter()


def measure(rounds: int, block: int) -> dict[str, list[float]]:
    """Return the seconds for each step, by block, of both loops."""
    steps = (rounds + UNTIMED) * block
    config = gvt.compose("segment.scenes", [*RECIPE, f"train.steps={steps}", *OFF])
    train = config.train
    placement = gvt.Placement.resolve("cpu", train.precision, "channels_last")
    keep_freed_memory(placement.device)
    dataset = open_dataset(config, "train")
    facts = DataInfo.of(dataset, config.data.range)
    seed_everything(train.seed)
    task = build_task(config, facts)
    loader = gvt.Loader(dataset, config.data, train, placement)
    trainer = gvt.Trainer(task, loader, config.optimizers, train, placement)
    classes = len(facts.classes) + facts.background
    other = Plain(dataset, classes, loader.order, placement.precision)
    in_turns = InTurns(other, block)
    trainer.listeners = [in_turns]
    trainer.fit()
    return in_turns.seconds


def _batches(order: Order) -> Iterator[Tensor]:
    for place in order.places():
        yield place.indices


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="number of blocks of each loop")
    parser.add_argument("--block", type=int, default=5, help="steps in a block")
    args = parser.parse_args()
    print(json.dumps(measure(args.rounds, args.block)))


if __name__ == "__main__":
    main()
