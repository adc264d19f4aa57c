"""Train four families for 10,000 steps in all, and check that their memory does not grow.

python benchmarks/soak.py                  # about an hour and a half on two cores
python benchmarks/soak.py detect           # only recipes with this in the name; keeps other rows
python benchmarks/soak.py --steps 200      # steps of each; few steps cannot show a leak

Each run evaluates, draws and saves regularly. Its resident memory, that of its workers, its open
files and its threads are read from /proc (Linux), and recorded in a row for every tenth of the
steps. The exit code is 1 if a run failed or its memory grew. Rows are kept in benchmarks/soak.json;
the table is in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from page import PAGE, put_table

RESULTS = Path(__file__).parent / "soak.json"
ROWS = 10
MIB = 1 << 20

_SCENES = (
    *("data.count=400", "data.held_out=40", "data.size=64", "data.digit_size=[20,44]"),
    "data.batch_size=4",
)
_OFTEN = ("evaluate.every=100", "train.checkpoint_every=100", "train.log_every=5")

FAMILIES: dict[str, tuple[str, ...]] = {
    "gan.mnist": ("train.checkpoint_every=100", "train.pictures_every=100", "train.log_every=5"),
    "classify.mnist": ("data.holdout=1000", "data.resident=false", "data.workers=2", *_OFTEN),
    "segment.scenes": (*_SCENES, *_OFTEN),
    "detect.scenes": (*_SCENES, *_OFTEN),
}
"""Overrides by recipe: small data, and frequent evaluations, checkpoints and pictures."""


@dataclass(frozen=True)
class Row:
    """Resources of a run at a step.

    Attributes:
        recipe: Recipe of the run.
        step: Last step in the log.
        mib: Resident memory of the process, in MiB.
        workers_mib: Resident memory of its child processes together, in MiB.
        files: Open files of the process.
        threads: Threads of the process.
        seconds: Seconds since the run was started.
    """

    recipe: str
    step: int
    mib: float
    workers_mib: float
    files: int
    threads: int
    seconds: float


def main() -> int:
    """Run the selected recipes, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="run the recipes that contain this")
    parser.add_argument(
        "--steps", type=int, default=10_000 // len(FAMILIES), help="steps of each recipe"
    )
    parser.add_argument("--limit", type=float, default=3, help="largest allowed growth in %%")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file of the rows")
    parser.add_argument("--page", type=Path, default=PAGE, help="Markdown file of the table")
    args = parser.parse_args()
    rows: list[Row] = []
    if args.results.exists():
        rows = [Row(**row) for row in json.loads(args.results.read_text())]
    failures = []
    for recipe in (name for name in FAMILIES if args.part in name):
        rows = [row for row in rows if row.recipe != recipe]
        before = len(rows)
        code = _run(recipe, args.steps, rows, args.results)
        growth = growth_of(rows[before:])
        if code or growth > args.limit:
            failures.append(f"{recipe}: exit code {code}, memory grew by {growth:.1f} %")
    put_table("soak", table_of(rows), args.page)
    print(*failures or ["memory does not grow"], sep="\n")
    return 1 if failures else 0


def _run(recipe: str, steps: int, rows: list[Row], results: Path) -> int:
    """Train one family, add a row for each tenth of the steps, and return the exit code."""
    with TemporaryDirectory() as folder:
        overrides = [*FAMILIES[recipe], f"train.steps={steps}", f"run.root={folder}"]
        command = [sys.executable, "-m", "gvt", "run", recipe, *overrides]
        started, due = time.monotonic(), max(1, steps // ROWS)
        with (Path(folder) / "output").open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        next_step = due
        while process.poll() is None:
            step = _last_step(Path(folder))
            if step >= next_step and (row := _row(recipe, process.pid, step, started)):
                rows.append(row)
                results.write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n")
                print(*asdict(row).values(), sep="\t", flush=True)
                next_step = step - step % due + due
            time.sleep(0.1)
        if process.returncode:
            print((Path(folder) / "output").read_text())
        return process.returncode


def _last_step(folder: Path) -> int:
    """Return the last step in the log of the run below a folder, or 0 if there is none yet."""
    for log in folder.glob("*/*/metrics.jsonl"):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            for line in reversed(file.read().splitlines()):
                try:
                    return int(json.loads(line)["step"])
                except (ValueError, KeyError, TypeError):
                    continue  # the line is still being written
    return 0


def _row(recipe: str, process: int, step: int, started: float) -> Row | None:
    """Return the resources of a process; None if it has ended."""
    try:
        status = _status(process)
        return Row(
            recipe,
            step,
            round(_resident(process), 1),
            round(sum(map(_resident, _children(process))), 1),
            sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()),
            int(status["Threads"]),
            round(time.monotonic() - started, 1),
        )
    except (OSError, KeyError):
        return None


def _status(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def _resident(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _children(process: int) -> Iterator[int]:
    for thread in Path(f"/proc/{process}/task").iterdir():
        yield from map(int, (thread / "children").read_text().split())


def growth_of(rows: Sequence[Row]) -> float:
    """Return the growth of memory in the second half of a run, in percent.

    The first rows do not count, since caches and pools fill up at first. The median of three rows
    is used, since evaluations have additional workers.
    """
    if len(rows) < 6:
        return 0.0
    half = len(rows) // 2
    middle, end = (
        median(row.mib + row.workers_mib for row in part)
        for part in (rows[half - 1 : half + 2], rows[-3:])
    )
    return 100 * end / middle - 100


def table_of(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, with the growth in the last row of each run."""
    lines = [
        "| recipe | step | MiB | workers' MiB | open files | threads | growth |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, row in enumerate(rows):
        is_last = number + 1 == len(rows) or rows[number + 1].recipe != row.recipe
        run = [r for r in rows if r.recipe == row.recipe]
        growth = f"{growth_of(run):+.1f} %" if is_last else ""
        lines.append(
            f"| {row.recipe} | {row.step:,} | {row.mib:,.0f} | {row.workers_mib:,.0f} | "
            f"{row.files} | {row.threads} | {growth} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
