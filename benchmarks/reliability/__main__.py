"""Test gvt with kills, faults, damaged files and hostile recipes; write the table in docs/trust.md.

python benchmarks/reliability                 # everything: about an hour on two quiet cores
python benchmarks/reliability kills           # only the rows that contain this text
python benchmarks/reliability --quick         # a few cases of each row
python benchmarks/reliability --table         # only the table, from existing results

Each row is saved as soon as it is complete, and existing rows are only run again with `--again`.
Cases are drawn with `--seed`. The exit code is 1 if something was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

# Before gvt is imported: one thread for each of many small processes, and no other files in runs.
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
    "recipes": (recipes.row, recipes.ROWS, 1000, 1),
}
"""Function and names of the rows, and number of cases of each row in a full and a quick run."""


def measure(part: str, results: Path, seed: int, quick: bool, again: bool) -> None:
    """Run every row that contains a text, and save each as soon as it is complete."""
    rows = json.loads(results.read_text("utf-8")) if results.exists() else {}
    for name, (run, kinds, full, few) in PARTS.items():
        for kind in kinds:
            title = f"{name}: {kind}"
            if part not in title or (title in rows and not again):
                continue
            counts, lost = run(kind, few if quick else full, seed)
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
    parser.add_argument("part", nargs="?", default="", help="run the rows that contain this")
    parser.add_argument("--quick", action="store_true", help="run a few cases of each row")
    parser.add_argument("--again", action="store_true", help="run existing rows again")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cases")
    parser.add_argument(
        "--results", type=Path, default=HERE / "results.json", help="JSON file of the rows"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file of the table")
    args = parser.parse_args()
    if not args.table:
        measure(args.part, args.results, args.seed, args.quick, args.again)
    rows = json.loads(args.results.read_text("utf-8"))
    put_table("reliability", table(rows), args.page)
    sys.exit(any(row["lost"] for row in rows.values()))


if __name__ == "__main__":
    main()
