"""Try how much gvt survives, and write the table in docs/trust.md.

python benchmarks/reliability                 # everything: about an hour on two quiet cores
python benchmarks/reliability kills           # only the rows with this in them
python benchmarks/reliability --quick         # a few of each
python benchmarks/reliability --table         # makes the table anew from the results

Each row is kept as soon as it is there, and one that is there is not run again without `--again`.
All is random by `--seed`. The exit code is 1 if something was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

# Before gvt is imported: small networks, in many processes, whose files are counted.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["GVT_BLOCK_PLUGINS"] = "tensorboard"

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import damage  # noqa: E402
import faults  # noqa: E402
import kills  # noqa: E402
import recipes  # noqa: E402
from page import put_table  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "trust.md"

PARTS: dict[str, tuple[Callable[..., tuple[dict[str, int], list[str]]], tuple[str, ...], int, int]]
PARTS = {
    "kills": (kills.row, kills.ROWS, 40, 2),
    "faults in saves": (faults.row, ("saves",), 10_000, 40),
    "faults in runs": (faults.row, ("runs",), 40, 1),
    "damaged files": (damage.row, tuple(damage.ROWS), 1000, 10),
    "recipes": (recipes.row, recipes.ROWS, 1000, 3),
}
"""What tries a row, the rows, and how many there are of each, in all and in a quick run."""


def measure(part: str, results: Path, seed: int, quick: bool, again: bool) -> None:
    """Try every row with a text in its name, and keep each as soon as it is there."""
    rows = json.loads(results.read_text("utf-8")) if results.exists() else {}
    for name, (try_out, whats, full, few) in PARTS.items():
        for what in whats:
            title = f"{name}: {what}"
            if part not in title or (title in rows and not again):
                continue
            counts, lost = try_out(what, few if quick else full, seed)
            rows[title] = {"seed": seed, "counts": counts, "lost": lost}
            print(f"{title}: {counts}", *lost, sep="\n  ", file=sys.stderr, flush=True)
            results.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def table(rows: dict[str, dict]) -> str:
    """Return the results in Markdown."""
    lines = ["| what was tried | how many | lost |", "| --- | --- | --- |"]
    for title, row in rows.items():
        counts = ", ".join(f"{count:,} {name}" for name, count in row["counts"].items())
        lines.append(f"| {title} | {counts} | {len(row['lost'])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python benchmarks/reliability", description=__doc__.splitlines()[0]
    )
    parser.add_argument("part", nargs="?", default="", help="a text in the rows to be tried")
    parser.add_argument("--quick", action="store_true", help="a few of each")
    parser.add_argument("--again", action="store_true", help="also rows that are there")
    parser.add_argument("--table", action="store_true", help="only make the table anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    if not options.table:
        measure(options.part, options.results, options.seed, options.quick, options.again)
    rows = json.loads(options.results.read_text("utf-8"))
    put_table("reliability", table(rows), options.page)
    sys.exit(any(row["lost"] for row in rows.values()))


if __name__ == "__main__":
    main()
