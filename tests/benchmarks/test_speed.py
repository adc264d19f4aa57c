"""The speed benchmarks at a size at which their figures mean nothing: they run, and compare."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DETECTORS = ("rcnn", "fast_rcnn", "faster_rcnn", "yolo_grid", "ssd", "fcos")


@pytest.mark.slow
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
        "recipes.py": "detector alone",
        "merging.py": "the heads one by one",
    }
    of_detectors = measured.pop("detectors.py")
    assert measured.keys() == others.keys()
    for file, sides in measured.items():
        assert list(sides) == ["gvt", others[file]]
        assert all(seconds > 0 for side in sides.values() for seconds in side)
    assert of_detectors.keys() == {
        "selective_search",
        *(f"{name}/{way}" for name in DETECTORS for way in ("train", "predict")),
    }
    assert all(seconds > 0 for side in of_detectors.values() for seconds in side)

    written = page.read_text(encoding="utf-8")
    assert all(written.count(f"`python benchmarks/{command}`") == 1 for command in runs)
    assert all(written.count(f"| `{name}` | ") == 1 for name in DETECTORS)
    assert "<!-- quality: begin -->" in written


@pytest.mark.slow
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


def test_the_table_of_detectors_says_medians_and_what_the_search_costs():
    program = """
import json, sys
from detectors_table import detectors_table
print(detectors_table("detectors.py", json.loads(sys.argv[1])))
"""
    seconds = {"selective_search": [0.5, 0.5, 0.5]}
    for name, predict in (("rcnn", 2.0), ("fast_rcnn", 0.25), ("faster_rcnn", 0.125)):
        seconds |= {f"{name}/train": [4.0, 8.0, 4.0], f"{name}/predict": [predict] * 3}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(seconds)],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    told = " ".join(done.stdout.split())
    assert "| `rcnn` | 4000 (4000 to 8000) | 1.00 (1.00 to 1.00) | 2000 (2000 to 2000) |" in told
    assert "| 16.00 (16.00 to 16.00) |" in told
    assert "takes 500 (500 to 500) ms" in told
    assert "without selective search R-CNN takes 8.0 (8.0 to 8.0) times as long" in told
    assert "and that 2.0 (2.0 to 2.0) times" in told
    # With it (2 + 0.5) / (0.25 + 0.5), and 0.75 / 0.125.
    assert "with selective search R-CNN takes 3.3 (3.3 to 3.3) times as long" in told
    assert "and that 6.0 (6.0 to 6.0) times" in told
