"""Measure the speed of the loop and of models, and write the table in benchmarks/README.md.

python benchmarks/speed.py            # everything, in some minutes on two quiet cores
python benchmarks/speed.py segment    # only the commands that contain this text
python benchmarks/speed.py --quick    # a smoke test of a few steps, without meaningful times
python benchmarks/speed.py --table    # only the table, from existing results

Results are kept in benchmarks/speed.json. `--results` and `--page` select other files.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from detectors_table import detectors_table
from page import PAGE, put_table

HERE = Path(__file__).parent

COMMANDS = (
    "loop_overhead.py classify.mnist --rounds 12 --block 30",
    "loop_overhead.py gan.mnist_dcgan --rounds 10 --block 4",
    "textbook.py classify.mnist --rounds 5 --steps 100 --warmup 20 --workers 0,2",
    "textbook.py gan.mnist_dcgan --rounds 5 --steps 10 --warmup 3 --workers 0,2",
    "segmentation_models.py --rounds 10 --block 3",
    "detection_models.py faster_rcnn --rounds 10 --block 2",
    "detection_models.py faster_rcnn --predict --rounds 10 --block 2",
    "detection_models.py mask_rcnn --rounds 6 --block 1",
    "detection_models.py mask_rcnn --predict --rounds 6 --block 1",
    "recipes.py joint --rounds 10 --block 3 --steps 40",
    "recipes.py fast --rounds 10 --block 3 --steps 40",
    "merging.py --rounds 10 --block 3 --steps 40",
    "detectors.py --rounds 3",
)
QUICK = {"--rounds": "1", "--block": "1", "--steps": "1", "--warmup": "1", "--workers": "0"}
"""Options of commands in a quick run."""
QUICK_TOO = {
    "detection_models.py": ["--images", "1"],
    "merging.py": ["--images", "1"],
    "detectors.py": ["--images", "1", "--proposals", "20", "--steps", "0", "--untimed", "0"],
}
"""Additional options of scripts in a quick run."""


def run(command: str, quick: bool) -> dict[str, list[float]]:
    """Run a benchmark in a process of its own; return the seconds for each step of each side."""
    words = shlex.split(command)
    if quick:
        words = [QUICK.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        words += QUICK_TOO.get(words[0], [])
    process = subprocess.run(
        [sys.executable, str(HERE / words[0]), *words[1:]],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sides: dict[str, list[float]] = json.loads(process.stdout)
    return sides


def measure(part: str, quick: bool, before: dict[str, Any]) -> dict[str, Any]:
    """Run every command that contains a text; return all results, and the machine they are of.

    Results of earlier runs are kept, and the versions of torch that they were measured with.
    """
    # A quick run has one command of each script.
    one_of_each = {command.split()[0]: command for command in reversed(COMMANDS)}.values()
    commands = [c for c in (one_of_each if quick else COMMANDS) if part in c]
    results = {**before["runs"], **{command: run(command, quick) for command in commands}}
    runs = {command: results[command] for command in COMMANDS if command in results}
    versions = sorted({*before["torch"], version("torch")})
    return {"cores": os.cpu_count(), "torch": versions, "runs": runs}


def table(results: dict[str, Any]) -> str:
    """Return the results in Markdown."""
    lines = [
        f"On {results['cores']} cores without a GPU, torch {' and '.join(results['torch'])}. "
        "Medians; the ratio is that of neighbouring runs, the other's time over gvt's, with its "
        "quartiles.",
        "",
        "| command | compared with | gvt, ms a step | the other, ms a step | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    detectors = []
    for command, sides in results["runs"].items():
        if "gvt" not in sides:  # a comparison within gvt
            detectors += ["", detectors_table(command, sides)]
            continue
        name = min((n for n in sides if n != "gvt"), key=lambda n: statistics.median(sides[n]))
        ours, theirs = sides["gvt"], sides[name]
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        our_ms, their_ms = (1000 * statistics.median(side) for side in (ours, theirs))
        lines.append(
            f"| `python benchmarks/{command}` | {name} | {our_ms:.1f} | {their_ms:.1f} "
            f"| {middle:.3f} ({low:.3f} to {high:.3f}) |"
        )
    return "\n".join([*lines, *detectors])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="run the commands that contain this")
    parser.add_argument("--quick", action="store_true", help="run a few steps of each script")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument(
        "--results", type=Path, default=HERE / "speed.json", help="JSON file of the results"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file of the table")
    args = parser.parse_args()
    if not args.table:
        kept = json.loads(args.results.read_text("utf-8")) if args.part else None
        before = kept or {"torch": [], "runs": {}}
        results = json.dumps(measure(args.part, args.quick, before), indent=2)
        args.results.write_text(f"{results}\n", encoding="utf-8")
    put_table("speed", table(json.loads(args.results.read_text(encoding="utf-8"))), args.page)


if __name__ == "__main__":
    main()
