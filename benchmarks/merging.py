"""Compare the prediction of merged heads with that of each head alone.

python benchmarks/merging.py

The heads are the three of multi.scenes, on its backbone. Each is saved as a checkpoint of its own,
and `gvt.merge` puts them together again. Before the timing, the merged heads must predict the same
bits as the single ones.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

import gvt

UNTIMED = 1


def checkpoints(steps: int, folder: Path) -> dict[str, Path]:
    """Train all heads together; return a checkpoint of each, by the name of the head."""
    off = ("train.checkpoint_every=null", "evaluate={}", "device=cpu", f"run.root={folder}")
    run = gvt.run("multi.scenes", f"train.steps={steps}", *off, quiet=True)
    paths = {}
    for name in run.task.heads:
        task: Any = gvt.load(run.checkpoint)
        for other in [other for other in task.heads if other != name]:
            task.remove_head(other)
        paths[name] = gvt.save(task, folder / f"{name}.safetensors")
    return paths


def check_same(merged: Callable[[], Any], single: dict[str, Callable[[], Any]]) -> None:
    """Check that merged heads predict the same bits as single ones.

    Raises:
        SystemExit: If they do not; the message has the name of the head.
    """
    together = merged()
    for name, predict in single.items():
        for alone, image in zip(predict(), together, strict=True):
            pairs = zip(tree_leaves(alone[name]), tree_leaves(image[name]), strict=True)
            if not all(torch.equal(one, other) for one, other in pairs):
                raise SystemExit(f"the head {name} does not predict the same as alone")


def predicting(task: Any, images: Tensor, placement: gvt.Placement) -> Callable[[], Any]:
    """Return a function that predicts a batch of images."""
    placement.place(task)
    batch = gvt.Batch.of_images(placement.images(images))

    def predict() -> Any:
        with torch.no_grad(), placement.autocast():
            return task.eval().predict(batch)

    return predict


def measure(rounds: int, block: int, steps: int, images: int) -> dict[str, list[float]]:
    """Return the seconds for each prediction of a batch by all heads, by block, of both sides."""
    with tempfile.TemporaryDirectory() as folder:
        paths = checkpoints(steps, Path(folder))
        opened = gvt.open(next(iter(paths.values())), "device=cpu")
        tasks = {name: gvt.load(path) for name, path in paths.items()}
        together = gvt.merge([*paths.values()])
    parameters = opened.config.data.parameters
    scenes = gvt.create("dataset", opened.config.data.name, split="test", **parameters)
    pixels = torch.stack([scenes[index].image for index in range(images)])
    merged = predicting(together, pixels, opened.placement)
    single = {n: predicting(task, pixels, opened.placement) for n, task in tasks.items()}
    check_same(merged, single)

    def one_by_one() -> None:
        for predict in single.values():
            predict()

    sides = {"gvt": merged, "the heads one by one": one_by_one}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + UNTIMED):
        for name, predict in sides.items():
            started = time.perf_counter()
            for _ in range(block):
                predict()
            if number >= UNTIMED:
                seconds[name].append((time.perf_counter() - started) / block)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="number of blocks of each side")
    parser.add_argument("--block", type=int, default=3, help="predictions in a block")
    parser.add_argument("--steps", type=int, default=40, help="training steps before the timing")
    parser.add_argument("--images", type=int, default=8, help="images in a batch")
    args = parser.parse_args()
    print(json.dumps(measure(args.rounds, args.block, args.steps, args.images)))


if __name__ == "__main__":
    main()
