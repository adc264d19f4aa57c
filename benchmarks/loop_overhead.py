"""Measure the overhead of gvt's loop over a loop by hand, with equal models and batches.

python benchmarks/loop_overhead.py gan.mnist_dcgan

Both run alternately in one process, in blocks of steps. In the first block they have equal weights
and random numbers, and have to end with the same bits. Checkpoints, pictures and evaluation are
switched off.
"""

from __future__ import annotations

import argparse
import copy
import json
import time

import torch
from by_hand import LOOPS, ByHand

import gvt
from gvt.data_info import DataInfo
from gvt.device.placement import keep_freed_memory
from gvt.seeding import seed_everything
from gvt.session.build import build_task, open_dataset

OFF = (
    "train.checkpoint_every=null",
    "train.pictures_every=null",
    "evaluate.split=null",
    "evaluate.final=null",
    "evaluate.best=null",
)

UNTIMED = 2
"""Blocks before the timed ones: one to compare the loops, one to warm up."""


class InTurns(gvt.Listener):
    """Run a block of the loop by hand after each block of gvt's loop, and time both.

    Attributes:
        gvt: Seconds for each step of gvt's loop, by block.
        by_hand: Seconds for each step of the loop by hand, by block.
    """

    def __init__(self, loop: ByHand, block: int, seed: int) -> None:
        self.loop, self.block, self.seed = loop, block, seed
        self.gvt: list[float] = []
        self.by_hand: list[float] = []
        self.started = 0.0

    def step_ended(self, run: gvt.Run, losses: object) -> None:
        """Record the time at the end of a block, and run a block of the other loop."""
        if run.step % self.block:
            return
        ended = time.perf_counter()
        number = run.step // self.block
        self.loop.run(self.block, self.seed if number == 1 else None)
        if number == 1:
            check_same(run.task, self.loop.task)
        if number > UNTIMED:
            self.gvt.append((ended - self.started) / self.block)
            self.by_hand.append((time.perf_counter() - ended) / self.block)
        self.started = time.perf_counter()


def check_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """Check that two tasks have the same bits.

    Raises:
        SystemExit: If they differ; the message has the tensors and their largest differences.
    """
    tensors = other.state_dict()
    differences = {
        name: (tensor - tensors[name]).abs().max().item()
        for name, tensor in one.state_dict().items()
        if not torch.equal(tensor, tensors[name])
    }
    if differences:
        raise SystemExit(f"the two loops do not compute the same: {differences}")


def measure(recipe: str, rounds: int, block: int) -> dict[str, list[float]]:
    """Return the seconds for each step, by block, of gvt's loop and of the loop by hand."""
    steps = (rounds + UNTIMED) * block
    config = gvt.compose(recipe, [f"train.steps={steps}", *OFF])
    placement = gvt.Placement.resolve("cpu", config.train.precision, config.train.memory_format)
    keep_freed_memory(placement.device)
    dataset = open_dataset(config, "train")
    seed_everything(config.train.seed)
    task = build_task(config, DataInfo.of(dataset, config.data.range))
    loader = gvt.Loader(dataset, config.data, config.train, placement)
    trainer = gvt.Trainer(task, loader, config.optimizers, config.train, placement)
    twin = copy.deepcopy(task)
    loop = LOOPS[recipe](twin, config, dataset, placement, loader.order, total_steps=steps)
    in_turns = InTurns(loop, block, config.train.seed)
    trainer.listeners = [in_turns]
    trainer.fit()
    return {"gvt": in_turns.gvt, "by hand": in_turns.by_hand}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=LOOPS)
    parser.add_argument("--rounds", type=int, default=12, help="number of blocks of each loop")
    parser.add_argument("--block", type=int, default=30, help="steps in a block")
    args = parser.parse_args()
    print(json.dumps(measure(args.recipe, args.rounds, args.block)))


if __name__ == "__main__":
    main()
