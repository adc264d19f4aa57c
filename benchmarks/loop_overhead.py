"""What gvt's loop costs: the same networks and batches through it and through a loop by hand.

python benchmarks/loop_overhead.py gan.mnist_dcgan

Both run in one process in turns, a block of steps each. First they run from the same weights on
the same random numbers, and have to end with the same bits. What comes every so often (checkpoints,
pictures, evaluation) is switched off.
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
"""Blocks before the timed ones: one in which the loops are compared, one to warm up."""


class InTurns(gvt.Listener):
    """Runs a block of the loop by hand after each one of gvt's, and takes the time of both.

    Attributes:
        gvt: Seconds a step of each block of gvt's.
        by_hand: The same by hand.
    """

    def __init__(self, loop: ByHand, block: int, seed: int) -> None:
        self.loop, self.block, self.seed = loop, block, seed
        self.gvt: list[float] = []
        self.by_hand: list[float] = []
        self.started = 0.0

    def step_ended(self, run: gvt.Run, losses: object) -> None:
        """Take the time at the end of a block, and let the other loop have its turn."""
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
    """Check that two tasks hold the same bits.

    Raises:
        SystemExit: If they do not; names the tensors, and how far they are apart.
    """
    others = other.state_dict()
    apart = {
        name: (tensor - others[name]).abs().max().item()
        for name, tensor in one.state_dict().items()
        if not torch.equal(tensor, others[name])
    }
    if apart:
        raise SystemExit(f"the two loops do not compute the same: {apart}")


def measure(recipe: str, rounds: int, block: int) -> dict[str, list[float]]:
    """Return the seconds a step of each block, of gvt's loop and of that by hand."""
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
    parser.add_argument("--rounds", type=int, default=12, help="blocks of each loop")
    parser.add_argument("--block", type=int, default=30, help="steps of a block")
    given = parser.parse_args()
    print(json.dumps(measure(given.recipe, given.rounds, given.block)))


if __name__ == "__main__":
    main()
