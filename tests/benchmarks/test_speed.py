"""The speed benchmarks at a size at which their figures mean nothing: they run, and compare."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_quick_run_fills_the_table(tmp_path):
    results, page = tmp_path / "speed.json", tmp_path / "README.md"
    shutil.copy(BENCHMARKS / "README.md", page)
    files = ["--results", str(results), "--page", str(page)]
    subprocess.run([sys.executable, BENCHMARKS / "speed.py", "--quick", *files], check=True)

    runs = json.loads(results.read_text())["runs"]
    measured = {command.split()[0]: sides for command, sides in runs.items()}
    others = {
        "loop_overhead.py": "by hand",
        "textbook.py": "script, 0 workers",
        "segmentation_models.py": "segmentation_models",
        "detection_models.py": "torchvision",
    }
    assert measured.keys() == others.keys()
    for file, sides in measured.items():
        assert list(sides) == ["gvt", others[file]]
        assert all(seconds > 0 for side in sides.values() for seconds in side)

    written = page.read_text(encoding="utf-8")
    assert all(written.count(f"`python benchmarks/{command}`") == 1 for command in runs)
    assert "<!-- quality: begin -->" in written


def test_loops_that_differ_are_refused():
    program = """
import torch
from loop_overhead import check_same
one, other = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
other.load_state_dict(one.state_dict())
check_same(one, other)
with torch.no_grad():
    other.bias += 1
check_same(one, other)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "do not compute the same: {'bias': " in done.stderr
