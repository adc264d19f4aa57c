"""The table of heads alone and together: what it compares, and what it trains."""

import importlib.util
import json
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gvt

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HEADS = {"a": ("accuracy",), "b": ("ap", "mask_ap")}
ALONE = {"a/accuracy": 0.5, "b/ap": 0.8, "b/mask_ap": 0.4}


@pytest.fixture
def module(monkeypatch):
    """Return a function that imports a script of the folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name):
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded)
        spec.loader.exec_module(loaded)
        return loaded

    return load


def row(name, *runs):
    return {"command": f"gvt run {name}", "seeds": {str(n): run for n, run in enumerate(runs)}}


def run(seconds, step, **metrics):
    return {"seconds": seconds, "step_seconds": step, **metrics}


def test_a_head_counts_once_and_a_point_is_a_hundredth(module):
    compared = module("joint_table").compared
    together = {"a/accuracy": 0.6, "b/ap": 0.72, "b/mask_ap": 0.44}
    # +20 % for a; -10 % and +10 % for b, 0 on the average.
    assert compared(together, ALONE, HEADS) == pytest.approx((10.0, -8.0))
    assert compared(ALONE, ALONE, HEADS) == (0.0, 0.0)


def test_what_cannot_be_compared_is_not(module):
    compared = module("joint_table").compared
    without = {"a/accuracy": 0.5, "b/ap": 0.8}
    assert all(map(math.isnan, compared(ALONE, without, HEADS)))
    assert all(map(math.isnan, compared(without, ALONE, HEADS)))
    change, worst = compared(ALONE, ALONE | {"b/ap": 0.0}, HEADS)
    assert math.isnan(change)
    assert worst == 0.0


def test_seeds_are_compared_one_by_one(module):
    a = [run(10, 0.1, **{"a/accuracy": value}) for value in (0.5, 0.4)]
    b = [run(50, step, **{"b/ap": 0.8, "b/mask_ap": 0.4}) for step in (0.5, 1.0)]
    both = [
        run(60, 0.6, **ALONE | {"a/accuracy": 0.55}),
        run(70, 0.8, **ALONE | {"a/accuracy": 0.32}),
        run(70, 0.8, **ALONE),  # a seed that no head has alone
    ]
    rows = {"a alone": row("a", *a), "b alone": row("b", *b), "fixed": row("both", *both[:2])}
    rows["more"] = row("more", *both)
    table = module("joint_table").joint_table({"mix": {"1200": rows}}, {"mix": HEADS})
    assert "**mix**, 1,200 steps" in table
    assert "| a alone | 0.450 (0.400 to 0.500) | - | - | - | - | 10 (10 to 10) |" in table
    # +10 % and -20 % for a, half of that on the average of the heads.
    assert (
        "-2.5 (-10.0 to +5.0) | -4.0 (-8.0 to +0.0) | 65 (60 to 70) | 1.00 (0.80 to 1.20) | 2"
        in table
    )
    assert "| more | 0.500 (0.320 to 0.550) " in table
    assert (
        "-2.5 (-10.0 to +5.0) | -4.0 (-8.0 to +0.0) | 70 (60 to 70) | 1.00 (0.80 to 1.20) | 3 |"
        in table
    )
    assert "- fixed: `gvt run both`" in table


def test_every_command_is_a_valid_configuration(module, monkeypatch):
    monkeypatch.setenv("GVT_DATA", "data")
    for mix in module("joint").MIXES.values():
        names = []
        for name, command, metrics in mix.rows():
            _, _, recipe, *overrides = shlex.split(f"{command} train.steps=7")
            path = recipe.replace("benchmarks/", f"{BENCHMARKS}/")
            config = gvt.compose(path, overrides)
            assert config.train.steps == 7
            assert config.evaluate.final == ("test" if metrics else None)
            names.append(name)
        assert len(names) == len(set(names))


def test_runs_with_results_are_not_repeated(module, tmp_path, monkeypatch):
    joint = module("joint")
    commands, path = [], tmp_path / "joint.json"

    def train(command, seed, metrics):
        commands.append((command, seed))
        return run(1.0, 0.1, **dict.fromkeys(metrics, 0.5))

    monkeypatch.setattr(joint, "train", train)
    joint.measure("scenes: ink alone", 5, [0, 1], False, path)
    assert {seed for _, seed in commands} == {0, 1}
    assert all(command.endswith(" train.steps=5") for command, _ in commands)
    count = len(commands)
    joint.measure("scenes: ink alone", 5, [0, 1, 2], False, path)
    assert [seed for _, seed in commands[count:]] == [2] * (count // 2)
    joint.measure("scenes: ink alone", None, [0], False, path)
    assert "train.steps" not in commands[-1][0]
    rows = json.loads(path.read_text())["mixes"]["scenes"]
    assert rows.keys() == {"5", ""}
    assert rows["5"]["ink alone"]["seeds"]["2"]["ink/mean_iou"] == 0.5
    changed = json.loads(path.read_text().replace(" heads.largest=null", " heads.none=null"))
    path.write_text(json.dumps(changed))
    joint.measure("scenes: ink alone", 5, [0], False, path)
    rows = json.loads(path.read_text())["mixes"]["scenes"]
    assert rows["5"]["ink alone"]["seeds"].keys() == {"0"}  # those of the other command are gone


@pytest.mark.slow
def test_a_short_run_fills_the_table_once(tmp_path):
    page, results = tmp_path / "README.md", tmp_path / "joint.json"
    shutil.copy(BENCHMARKS / "README.md", page)
    words = ["digit alone", "--steps", "2", "--seeds", "3"]
    words += ["--results", str(results), "--page", str(page)]
    for _ in range(2):
        subprocess.run([sys.executable, BENCHMARKS / "joint.py", *words], check=True)
        first = results.read_text()
        assert results.read_text() == first
    numbers = json.loads(first)["mixes"]["digits with a GAN"]["2"]["digit alone"]["seeds"]["3"]
    assert 0 < numbers["digit/accuracy"] < 1
    assert 0 < numbers["step_seconds"] < numbers["seconds"]
    assert f"| digit alone | {numbers['digit/accuracy']:.3f} | - | - |" in page.read_text()
