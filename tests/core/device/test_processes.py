"""Two processes give the same results as one with twice the batch."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import gvt

# Sums in another order differ by rounding, and bfloat16 rounds to three digits.
SMALL = ["data.classes=[3, 5]", "data.holdout=500", "train.steps=6", "device=cpu"]
SMALL += ["train.precision=float32"]
TASKS = {
    "classify.mnist": ["evaluate.batch_size=700", "train.ema={decay: 0.9}"],
    "gan.mnist": [
        "generator.width=8",
        "discriminator.width=8",
        "task.critic_steps=2",
        "train.memory_format=contiguous",
    ],
}
SHARDED = {"gan.mnist": ["train.shard=true"]}
"""Further overrides of the run by two processes."""

RECIPES = [pytest.param("classify.mnist", marks=pytest.mark.slow), "gan.mnist"]


def torchrun(*arguments, processes=2):
    """Run gvt in several processes on this machine, with a free port."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", "-m", "gvt", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def assert_close(one, other):
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.usefixtures("undrawn_processes")
def test_two_processes_equal_one_with_twice_the_batch(recipe, tmp_path):
    overrides = [*SMALL, *TASKS[recipe]]
    several = [*overrides, *SHARDED.get(recipe, []), "data.batch_size=16"]
    done = torchrun("run", recipe, *several, f"run.root={tmp_path}/two")
    assert done.returncode == 0, done.stderr
    alone = gvt.run(
        recipe, *overrides, "data.batch_size=32", f"run.root={tmp_path}/one", quiet=True
    )
    (folder,) = (tmp_path / "two").glob("*/*")  # the first process alone wrote one
    assert_close(alone.checkpoint, folder / "checkpoints" / "last.safetensors")
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["processes"] == 2
    assert done.stderr.count("2 processes") == 1
    if recipe in SHARDED:
        trained = gvt.load(folder / "checkpoints" / "last.safetensors", device="cpu")
        assert trained.sample(2, seed=0).shape == (2, 1, 28, 28)
    if recipe == "classify.mnist":
        rows = [json.loads(r) for r in (folder / "metrics.jsonl").read_text().splitlines()]
        (accuracy,) = (r["test/accuracy"] for r in rows if "test/accuracy" in r)
        assert accuracy == pytest.approx(alone.metrics["test/accuracy"], abs=2e-3)


HEADS = """
task: {{name: heads, weights: {{b: 3}}, weighting: {{name: {weighting}, cosines_every: 2}}}}
data: {{name: mnist}}
backbone: {{name: small_cnn, widths: [4, 8]}}
heads: {{a: {{name: classifier, hidden: [8]}}, b: {{name: classifier}}}}
optimizers: {{model: {{name: SGD, lr: 0.1}}}}
train: {{steps: 6, log_every: 1}}
"""


def losses(folder):
    """Return the rows of the log with losses."""
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{n: v for n, v in row.items() if n.startswith("train/")} for row in rows[:6]]


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["pcgrad", "famo"])
@pytest.mark.usefixtures("undrawn_processes")
def test_heads_are_weighted_as_in_one_process_with_twice_the_batch(weighting, tmp_path):
    recipe = tmp_path / "heads.yaml"
    recipe.write_text(HEADS.format(weighting=weighting))
    done = torchrun("run", recipe, *SMALL, "data.batch_size=16", f"run.root={tmp_path}/two")
    assert done.returncode == 0, done.stderr
    root = f"run.root={tmp_path}/one"
    alone = gvt.run(recipe, *SMALL, "data.batch_size=32", root, quiet=True)
    halves = ["data.batch_size=16", "train.accumulate=2"]
    small = gvt.run(recipe, *SMALL, *halves, root, quiet=True)
    (folder,) = (tmp_path / "two").glob("*/*")
    for other in (folder / "checkpoints" / "last.safetensors", small.checkpoint):
        assert_close(alone.checkpoint, other)
    rows = losses(alone.folder)
    assert [("train/cosine/a/b" in row) for row in rows] == [True, False] * 3
    for row, other in zip(rows, losses(folder), strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
def test_accumulation_is_the_large_batch(recipe, tmp_path):
    overrides = [*SMALL, *TASKS[recipe], f"run.root={tmp_path}"]
    large = gvt.run(recipe, *overrides, "data.batch_size=32", quiet=True)
    small = gvt.run(recipe, *overrides, "data.batch_size=8", "train.accumulate=4", quiet=True)
    assert_close(large.checkpoint, small.checkpoint)


@pytest.mark.slow
def test_an_error_is_one_line_for_all_processes(tmp_path):
    done = torchrun("run", "gan.mnist", "train.stepz=1", f"run.root={tmp_path}")
    assert done.returncode != 0
    assert "unknown key; did you mean 'steps'" in done.stderr
