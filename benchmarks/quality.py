"""Train the recipes in full and write down how good they became, and how long it took.

python benchmarks/quality.py            # runs everything, half an hour on two cores
python benchmarks/quality.py --table    # makes the table anew from the results that are there

Results are kept in benchmarks/quality.json; the table stands in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from page import put_table

RESULTS = Path(__file__).parent / "quality.json"

SEEDS = (0, 1, 2)
MEASURED = {
    "gvt run classify.mnist": "test/accuracy",
    "gvt run classify.mnist heads.digit.hidden=[64]": "test/accuracy",
    "gvt run gan.mnist": None,
}
"""Each command, and the metric of its last evaluation; None where only the time is measured."""


def run(command: str, seed: int) -> dict[str, float]:
    """Run a command with a seed, and return its metric and the seconds that it took."""
    with TemporaryDirectory() as root:
        words = [*command.split()[1:], f"train.seed={seed}", f"run.root={root}"]
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "gvt", *words], check=True)
        seconds = time.monotonic() - started
        (metrics,) = Path(root).glob("*/*/metrics.jsonl")
        rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    metric = MEASURED[command]
    found = {"seconds": seconds}
    if metric is not None:
        found[metric] = [row[metric] for row in rows if metric in row][-1]
    return found


def measure() -> None:
    """Run every command with every seed."""
    results = {
        command: [run(command, seed) for seed in SEEDS[: None if metric else 1]]
        for command, metric in MEASURED.items()
    }
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "runs": results}, indent=2) + "\n")


def table() -> str:
    """Return the results in Markdown."""
    results = json.loads(RESULTS.read_text())
    lines = [
        f"On {results['cores']} cores without a GPU; seeds {', '.join(map(str, SEEDS))} where a "
        "metric is given, otherwise seed 0.",
        "",
        "| command | metric | mean | spread (min to max) | seconds (median) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for command, runs in results["runs"].items():
        seconds = statistics.median(r["seconds"] for r in runs)
        metric = next((name for name in runs[0] if name != "seconds"), None)
        if metric is None:
            lines.append(f"| `{command}` | | | | {seconds:.0f} |")
            continue
        values = [r[metric] for r in runs]
        spread = f"{min(values):.4f} to {max(values):.4f}"
        mean = statistics.mean(values)
        lines.append(f"| `{command}` | {metric} | {mean:.4f} | {spread} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="only make the table anew")
    if not parser.parse_args().table:
        measure()
    put_table("quality", table())


if __name__ == "__main__":
    main()
