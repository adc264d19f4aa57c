"""The fast part of the reliability campaign: a few of each row, and that it notices a loss."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CAMPAIGN = ROOT / "benchmarks" / "reliability"

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="faults are injected on Linux with a C compiler (cc)",
)


@pytest.fixture
def campaign(tmp_path):
    """Return what runs a part of the campaign, and returns its rows."""

    def run(part: str) -> dict:
        results, page = tmp_path / "results.json", tmp_path / "trust.md"
        shutil.copy(ROOT / "docs" / "trust.md", page)
        files = ["--results", results, "--page", page]
        command = [sys.executable, CAMPAIGN, part, "--quick", "--seed", "1", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        rows = json.loads(results.read_text())
        assert all(f"| {title} | " in page.read_text() for title in rows)
        return rows

    return run


@pytest.mark.slow
@on_linux
def test_faults_in_saves_lose_nothing(campaign):
    (row,) = campaign("faults in saves").values()
    assert row["counts"]["faults"] == 40
    assert row["counts"]["possible"] > 100


@pytest.mark.slow
def test_damaged_and_forged_files_are_refused_or_data(campaign):
    rows = campaign("damaged files")
    assert {row["counts"]["files"] for row in rows.values()} == {10}
    assert rows["damaged files: one flipped bit"]["counts"]["refused"] == 10


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gan.mnist", "segment.scenes"])
def test_killed_runs_lose_nothing(family, campaign):
    (row,) = campaign(f"kills: {family}").values()
    assert row["counts"]["kills"] == 2
    assert row["counts"]["complete"] >= 1  # a run may be complete before its kill


@pytest.mark.slow
@on_linux
def test_a_fault_in_a_run_loses_nothing(campaign):
    (row,) = campaign("faults in runs").values()
    assert row["counts"]["faults"] == 1


@pytest.mark.slow
def test_hostile_recipes_are_refused(campaign):
    (row,) = campaign("recipes").values()
    assert row["counts"]["files"] == 1
