"""Foreign code trains through gvt: losses fall within a few steps, and it is evaluated."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("undrawn_processes")

FOLDER = Path(__file__).parents[2] / "examples" / "in_the_wild"


def ran(script, *settings, folder):
    """Run an example; return the losses of each step by name, and its last line as a number."""
    done = subprocess.run(
        [sys.executable, FOLDER / script, "device=cpu", "train.precision=float32", *settings],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (metrics,) = folder.glob("runs/*/*/metrics.jsonl")
    lines = [json.loads(line) for line in metrics.open(encoding="utf-8")]
    steps = [line for line in lines if "train/" in str(line)]
    names = [name for name in steps[0] if name.startswith("train/")]
    losses = {n.removeprefix("train/"): [step[n] for step in steps] for n in names}
    return losses, float(done.stdout.rsplit(maxsplit=1)[1])


@pytest.mark.slow
def test_a_plain_module(tmp_path):
    losses, accuracy = ran("plain_module.py", "train.steps=60", folder=tmp_path)
    assert losses["cross_entropy"][-1] < 0.5 * losses["cross_entropy"][0]
    assert 0.7 < accuracy <= 1  # ten classes, so guessing would be 0.1


@pytest.mark.slow
def test_a_decoder_of_segmentation_models_pytorch(tmp_path):
    pytest.importorskip("segmentation_models_pytorch")
    settings = ["train.steps=8", "data.batch_size=4", "data.count=4", "data.held_out=8"]
    losses, iou = ran("smp_decoder.py", *settings, folder=tmp_path)
    assert losses["cross_entropy"][-1] < 0.8 * losses["cross_entropy"][0]
    assert 0 <= iou <= 1


@pytest.mark.slow
def test_a_detector_of_torchvision(tmp_path):
    settings = ["train.steps=4", "data.batch_size=2", "data.count=2", "data.held_out=4"]
    settings.append("task.side=64")
    losses, iou = ran("torchvision_detector.py", *settings, folder=tmp_path)
    assert losses.keys() == {
        "loss_classifier",
        "loss_box_reg",
        "loss_objectness",
        "loss_rpn_box_reg",
    }
    total = [sum(step) for step in zip(*losses.values(), strict=True)]
    assert total[-1] < total[0]
    assert 0 <= iou <= 1
