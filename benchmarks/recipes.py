"""Two recipes beside each other: what several heads cost together, and how fast a fast detector is.

python benchmarks/recipes.py joint     # a step of multi.scenes against one of its detector alone
python benchmarks/recipes.py fast      # a prediction of detect.bccd_fast against detect.bccd's

Networks, batches, precision and memory format are those of the recipes; the detectors have both
the backbone that their figures were measured with. Each side learns for some steps before it is
timed, since who thinks nothing of a picture finds objects everywhere, and spends its time on that.
GVT_DATA names the folder of the real data.
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
    """A recipe's network with some of its batches.

    Args:
        recipe: Its name.
        overrides: Of it.
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
        """Make an optimiser step."""
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
    """Return the seconds a step, or a prediction, of each block, of both."""
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
    parser.add_argument("--rounds", type=int, default=10, help="blocks of each side")
    parser.add_argument("--block", type=int, default=3, help="steps of a block")
    parser.add_argument("--steps", type=int, default=40, help="steps that each learns before")
    given = parser.parse_args()
    print(json.dumps(measure(given.what, given.rounds, given.block, given.steps)))


if __name__ == "__main__":
    main()
