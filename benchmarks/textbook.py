"""Compare the step time of `gvt run` with that of a usual training script.

python benchmarks/textbook.py classify.mnist

Both run alternately, each in a process of its own, since settings of malloc are global. The script
is usual_script.py, run with each number of DataLoader workers; the fastest one counts. `gvt run`
has its evaluations switched off, since the script has none.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
RECIPES = ("classify.mnist", "gan.mnist_dcgan")
OFF = ("evaluate.split=null", "evaluate.final=null", "evaluate.best=null")


def gvt_seconds(recipe: str, warmup: int, steps: int, folder: Path) -> float:
    """Return the seconds for each step of `gvt run`, after the warm-up."""
    settings = [f"train.steps={warmup + steps}", *OFF, f"run.root={folder}"]
    words = ["-m", "gvt", "run", recipe, *settings, "--plugin", str(HERE / "stopwatch.py")]
    times = folder / "times.json"
    _output(words, {"STOPWATCH": str(times)})
    return _seconds_per_step(json.loads(times.read_text()), warmup)


def script_seconds(recipe: str, warmup: int, steps: int, folder: Path, workers: int) -> float:
    """Return the seconds for each step of the usual script, after the warm-up."""
    words = [recipe, str(folder), str(workers), str(warmup + steps)]
    return _seconds_per_step(json.loads(_output([str(HERE / "usual_script.py"), *words])), warmup)


def measure(
    recipe: str, rounds: int, steps: int, warmup: int, workers: list[int]
) -> dict[str, list[float]]:
    """Return the seconds for each step, by run, of gvt and of the script."""
    sides: dict[str, list[float]] = {"gvt": [], **{f"script, {n} workers": [] for n in workers}}
    with TemporaryDirectory() as name:
        folder = Path(name)
        _unpack_mnist(folder)
        for _ in range(rounds):
            sides["gvt"].append(gvt_seconds(recipe, warmup, steps, folder))
            for number in workers:
                seconds = script_seconds(recipe, warmup, steps, folder, number)
                sides[f"script, {number} workers"].append(seconds)
    return sides


def _seconds_per_step(times: list[float], warmup: int) -> float:
    return (times[-1] - times[warmup - 1]) / (len(times) - warmup)


def _output(words: list[str], settings: dict[str, str] | None = None) -> str:
    command, environment = [sys.executable, *words], os.environ | (settings or {})
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def _unpack_mnist(folder: Path) -> None:
    """Write MNIST in the layout of torchvision, from the files in gvt's package."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (files("gvt_data") / "mnist_files").iterdir():
        if packed.name.endswith(".gz"):
            (raw / packed.name.removesuffix(".gz")).write_bytes(
                gzip.decompress(packed.read_bytes())
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--rounds", type=int, default=7, help="number of runs of each side")
    parser.add_argument("--steps", type=int, default=90, help="timed steps in a run")
    parser.add_argument("--warmup", type=int, default=10, help="steps before the timed ones")
    parser.add_argument("--workers", default="0,2", help="numbers of DataLoader workers to try")
    args = parser.parse_args()
    workers = [int(number) for number in args.workers.split(",")]
    print(json.dumps(measure(args.recipe, args.rounds, args.steps, args.warmup, workers)))


if __name__ == "__main__":
    main()
