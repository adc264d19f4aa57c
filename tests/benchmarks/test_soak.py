"""The soak: what it calls growth, and one family at a size at which its figures mean nothing."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("soak", BENCHMARKS / "soak.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak", module)
    spec.loader.exec_module(module)
    return module


def rows(soak, sizes, workers=0.0):
    return [soak.Row("a", n, size, workers, 9, 4, 1.0) for n, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "growth"),
    [
        ([100, 500, 800, 1000, 1000, 1000, 1000, 1000], 0),  # filling up is no leak
        ([1000, 1000, 1000, 1000, 1000, 1050, 1100, 1150], 10),
        ([1000, 1000, 1000, 1000, 1000, 1000, 1000, 1500], 0),  # an evaluation's own workers
        ([1000, 1100], 0),  # too few
    ],
)
def test_growth_is_that_of_the_second_half(soak, sizes, growth):
    assert soak.growth_of(rows(soak, sizes)) == pytest.approx(growth)


def test_memory_of_workers_counts(soak):
    held = [*rows(soak, [500] * 6), *rows(soak, [500] * 3, workers=500.0)]
    assert soak.growth_of(held) == pytest.approx(100)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it reads /proc")
def test_a_short_one_fills_the_table(tmp_path):
    page, results = tmp_path / "README.md", tmp_path / "soak.json"
    shutil.copy(BENCHMARKS / "README.md", page)
    arguments = ["gan", "--steps", "50", "--limit", "100"]
    files = ["--results", str(results), "--page", str(page)]
    subprocess.run([sys.executable, BENCHMARKS / "soak.py", *arguments, *files], check=True)
    written = json.loads(results.read_text())
    assert {row["recipe"] for row in written} == {"gan.mnist"}
    assert all(row["mib"] > 50 and row["files"] > 2 for row in written)
    assert f"| gan.mnist | {written[-1]['step']} |" in page.read_text(encoding="utf-8")
