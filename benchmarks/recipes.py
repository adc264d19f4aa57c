"""Compare two recipes: the cost of several heads together, and the speed of the fast detector.

python benchmarks/recipes.py joint     # a step of multi.scenes, and of its detector alone
python benchmarks/recipes.py fast      # a prediction of detect.bccd_fast, and of detect.bccd

Models, batches, precision and memory format are those of the recipes. Both detectors have the
backbone that their metrics were measured with. Each side is trained for some steps before the
timing, since untrained detectors spend their time on objects everywhere. GVT_DATA is the folder of
the real data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

import gvt
from gvt.data_info import DataInfo
from gvt.seeding import seed_everything
from gvt.session.build import build_task, open_dataset

LITE0 = ("train.precision=float32", "backbone.backbone.model=tf_efficientnet_lite0")
SIDES = {
    "joint": {
        "gvt": ("multi.scenes",),
        "detector alone": ("multi.scenes", "heads.largest=null", "heads.ink=null"),
    },
    "fast": {
        "gvt": ("detect.bccd_fast", *LITE0),
        "detect.bccd": ("detect.bccd", *LITE0, "data.size=[300, 400]"),
    },
}
BATCHES = 4
UNTIMED = 1


class Side:
    """The model of a recipe, with some of its batches.

    Args:
        recipe: Name of the recipe.
        overrides: Overrides of the recipe.
    """

    def __init__(self, recipe: str, *overrides: str) -> None:
        config = gvt.compose(recipe, [*overrides, "data.workers=0", "evaluate={}"])
        train = config.train
        self.placement = gvt.Placement.resolve("cpu", train.precision, train.memory_format)
        seed_everything(0)
        dataset = open_dataset(config, "train")
        self.task = build_task(config, DataInfo.of(dataset, config.data.range))
        self.placement.place(self.task)
        loader = gvt.Loader(dataset, config.data, train, self.placement)
        groups = loader.groups()
        self.batches = [next(groups)[0] for _ in range(BATCHES)]
        (phase,) = self.task.phases
        self.phase, self.steps = phase.name, 0
        self.optimizer = torch.optim.AdamW(self.task.parameters(), lr=1e-3, fused=True)

    def step(self) -> None:
        """Train for one step."""
        self.task.train()
        self.optimizer.zero_grad()
        with self.placement.autocast():
            batch = self.batches[self.steps % BATCHES]
            losses = self.task(self.phase, batch, gvt.Step(self.steps))
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        self.optimizer.step()
        self.steps += 1

    def predict(self) -> None:
        """Predict a batch."""
        self.task.eval()
        with torch.no_grad(), self.placement.autocast():
            self.task.predict(self.batches[self.steps % BATCHES])
        self.steps += 1


def measure(what: str, rounds: int, block: int, steps: int) -> dict[str, list[float]]:
    """Return the seconds for each step or prediction, by block, of both sides."""
    sides = {name: Side(*words) for name, words in SIDES[what].items()}
    for side in sides.values():
        for _ in range(steps):
            side.step()
    timed: dict[str, Callable[[], None]] = {
        name: side.step if what == "joint" else side.predict for name, side in sides.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + UNTIMED):
        for name, run in timed.items():
            started = time.perf_counter()
            for _ in range(block):
                run()
            if number >= UNTIMED:
                seconds[name].append((time.perf_counter() - started) / block)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=SIDES)
    parser.add_argument("--rounds", type=int, default=10, help="number of blocks of each side")
    parser.add_argument("--block", type=int, default=3, help="steps in a block")
    parser.add_argument("--steps", type=int, default=40, help="training steps before the timing")
    args = parser.parse_args()
    print(json.dumps(measure(args.what, args.rounds, args.block, args.steps)))


if __name__ == "__main__":
    main()
