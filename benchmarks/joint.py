"""Train heads alone and together, with each weighting, and compare their metrics.

python benchmarks/joint.py                       # everything that is missing, a day on two cores
python benchmarks/joint.py scenes                # only the rows that contain this text
python benchmarks/joint.py --steps 400           # another number of steps, as rows of their own
python benchmarks/joint.py --table               # only the table, from existing results

Runs that are in benchmarks/joint.json are not repeated, so a run that was stopped continues where
it was; `--again` repeats them. Two processes can share the work, each with other parts or seeds.
GVT_DATA is the folder of the real data. The table is in benchmarks/README.md. `--results` and
`--page` select other files.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from joint_table import Results, joint_table
from page import PAGE, put_table
from training import HERE, train

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Mix:
    """Heads that can learn together.

    Attributes:
        heads: The metrics of each head, by the name of the head.
        alone: The command of each head alone; also of what has no metric, only a duration.
        joint: The commands of all heads together, by the name of the row.
    """

    heads: Mapping[str, tuple[str, ...]]
    alone: Mapping[str, str]
    joint: Mapping[str, str]

    def rows(self) -> Iterator[tuple[str, str, dict[str, tuple[str, ...]]]]:
        """Yield the name, the command, and the metrics with their names in the log of each row."""
        for name, command in self.alone.items():
            yield f"{name} alone", command, self._metrics(name)
        for name, command in self.joint.items():
            yield name, command, self._metrics(*self.heads)

    def _metrics(self, *heads: str) -> dict[str, tuple[str, ...]]:
        # The metrics of a single head lack its name in the log.
        return {
            f"{head}/{metric}": (f"test/{head}/{metric}", f"test/{metric}")
            for head in heads
            for metric in self.heads.get(head, ())
        }


WEIGHTINGS = ("fixed", "uncertainty", "pcgrad", "cagrad", "famo", "nash", "aligned")
SCENES = "gvt run multi.scenes 'evaluate={final: test}'"
ONE_BACKBONE = f"{SCENES} task.share=null"
CELLS = "gvt run benchmarks/joint_cells.yaml"
ONLY_CELLS = "data.shares.scenes=1e-9 data.batch_size=4"
ONLY_SCENES = "data.shares.cells=1e-9 data.batch_size=4"
"""The other data set is practically never drawn; a head has as many of its samples as jointly."""
GAN = "gvt run gan.mnist_classes"


def _weighted(command: str) -> dict[str, str]:
    """Return the command with each weighting."""
    return {name: f"{command} task.weighting={name}" for name in WEIGHTINGS}


MIXES = {
    "scenes": Mix(
        heads={"largest": ("accuracy",), "digits": ("ap", "mask_ap"), "ink": ("mean_iou",)},
        alone={
            "largest": f"{ONE_BACKBONE} heads.digits=null heads.ink=null",
            "digits": f"{ONE_BACKBONE} heads.largest=null heads.ink=null",
            "ink": f"{ONE_BACKBONE} heads.largest=null heads.digits=null",
        },
        joint={
            **_weighted(ONE_BACKBONE),
            "share": SCENES,
            "fixed, less ink": f"{ONE_BACKBONE} task.weighting=fixed task.weights.ink=0.5",
        },
    ),
    "cells with scenes": Mix(
        heads={"cells": ("ap",), "largest": ("accuracy",), "ink": ("mean_iou",)},
        alone={
            "cells": f"{CELLS} heads.largest=null heads.ink=null {ONLY_CELLS}",
            "largest": f"{CELLS} heads.cells=null heads.ink=null {ONLY_SCENES}",
            "ink": f"{CELLS} heads.cells=null heads.largest=null {ONLY_SCENES}",
        },
        joint={**_weighted(CELLS), "share": f"{CELLS} task.share=stage4"},
    ),
    "digits with a GAN": Mix(
        heads={"digit": ("accuracy",)},
        alone={
            "digit": "gvt run classify.mnist data.holdout=0 data.batch_size=64 "
            "'backbone={name: small_cnn, widths: [64, 128]}' "
            "'heads.digit={name: classifier, grid: 5}' "
            "'optimizers.model={name: Adam, lr: 1e-3, betas: [0.5, 0.99]}' "
            "'train={steps: 1000}' 'evaluate={final: test}'",
            "GAN": f"{GAN} discriminator.heads=null generator.conditional=false "
            "evaluate.final=null",
        },
        joint={
            "also from fakes": GAN,
            "from real images": f"{GAN} generator.conditional=false",
            "from real images, weight 5": f"{GAN} generator.conditional=false "
            "discriminator.weights.digit=5",
        },
    ),
}


def measure(part: str, steps: int | None, seeds: Sequence[int], again: bool, path: Path) -> None:
    """Train what is missing, one seed after the other; results are kept after every run."""
    settings = "" if steps is None else f" train.steps={steps}"
    for seed, (mix_name, mix) in product(seeds, MIXES.items()):
        for name, recipe, metrics in mix.rows():
            command = f"{recipe}{settings}"
            if part not in f"{mix_name}: {name}: {command}":
                continue
            place = (mix_name, str(steps or ""), name)
            if again or str(seed) not in _row(read(path), place, command)["seeds"]:
                values = train(command, seed, metrics)
                results = read(path)  # anew, since another process may have added rows meanwhile
                _row(results, place, command)["seeds"][str(seed)] = values
                write(results, path)


def _row(results: Results, place: tuple[str, str, str], command: str) -> dict[str, Any]:
    """Return the row of a mix, number of steps and name; an empty one if its command differs."""
    mix_name, steps, name = place
    rows = results.setdefault(mix_name, {}).setdefault(steps, {})
    if name not in rows or rows[name]["command"] != command:
        rows[name] = {"command": command, "seeds": {}}
    return rows[name]


def read(path: Path) -> Results:
    """Return the results of a file, none if there is no such file."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return document.get("mixes", {})


def write(results: Results, path: Path) -> None:
    """Write results, in the order of the rows."""
    ordered = {
        mix_name: {
            steps: {name: rows[name] for name, *_ in mix.rows() if name in rows}
            for steps, rows in results[mix_name].items()
        }
        for mix_name, mix in MIXES.items()
        if mix_name in results
    }
    document = json.dumps({"cores": os.cpu_count(), "mixes": ordered}, indent=2)
    path.write_text(f"{document}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="run the rows that contain this")
    parser.add_argument("--steps", type=int, help="steps of every run; by default the recipe's")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="seeds of every row")
    parser.add_argument("--again", action="store_true", help="repeat runs that have results")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument(
        "--results", type=Path, default=HERE / "joint.json", help="JSON file of the results"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file of the table")
    args = parser.parse_args()
    if not args.table:
        measure(args.part, args.steps, args.seeds, args.again, args.results)
    heads = {name: mix.heads for name, mix in MIXES.items()}
    put_table("joint", joint_table(read(args.results), heads), args.page)


if __name__ == "__main__":
    main()
