"""Data without images: clips of a plugin, with heads that exist already and with a task."""

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gvt
from gvt_tensorboard.writer import EventWriter

pytestmark = pytest.mark.usefixtures("drawn")

HERE = Path(__file__).parent
FRAMES = 6


@pytest.fixture(scope="module", autouse=True)
def clips(load):
    load("clips.py")


def run_of(name, root, *settings):
    return gvt.run(str(HERE / f"{name}.yaml"), f"run.root={root}", *settings, quiet=True)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return run_of("predictor", tmp_path_factory.mktemp("predictor"), "train.keep=9")


def frames(path):
    with Image.open(path) as animation:
        shown = []
        for number in range(animation.n_frames):
            animation.seek(number)
            shown.append(np.asarray(animation.convert("L")))
        return shown, animation.info["duration"]


def test_a_head_for_images_learns_from_clips(tmp_path):
    run = run_of("squares", tmp_path, "train.steps=30", "evaluate.every=30", "data.batch_size=12")
    assert run.metrics["val/accuracy"] > 0.9
    assert {p.name for p in run.folder.glob("data.*")} == {"data.txt", "data.gif"}
    assert gvt.evaluate_checkpoint(run.folder).named("val").items() <= run.metrics.items()


def test_the_task_shows_an_animation(predictor, tmp_path):
    names = sorted(p.name for p in (predictor.folder / "samples").iterdir())
    assert names == [f"continued_{step:08d}.gif" for step in (1, 2, 4)]
    shown, duration = frames(predictor.folder / "samples" / names[-1])
    assert (len(shown), duration) == (FRAMES, 200)
    assert shown[0].shape == (48 + 4, 4 * (48 + 2) + 2)
    assert (shown[0] != shown[1]).any()
    page = (predictor.folder / "report.html").read_text()
    assert '<img src="data:image/gif;base64,' in page
    content = (predictor.folder / "samples" / names[-1]).read_bytes()
    writer = EventWriter(tmp_path, step=0)
    writer.files("continued", [(".gif", content)], step=4)
    writer.close()
    (image,) = EventAccumulator(str(tmp_path)).Reload().Images("continued")
    assert (image.width, image.height) == shown[0].shape[::-1]
    assert image.encoded_image_string == content


def test_a_resumed_run_is_the_same_bit_by_bit(predictor, tmp_path, same_tensors):
    folder = copytree(predictor.folder, tmp_path / "copy")
    again = gvt.resume(folder / "checkpoints" / "step_00000002.safetensors", quiet=True)
    same_tensors(predictor.checkpoint, again.checkpoint)
    assert again.metrics["val/loss/mse"] == predictor.metrics["val/loss/mse"]


def test_samples_are_an_animation(predictor, call, tmp_path):
    shown = gvt.sample(predictor.folder, 2, seed=3, device="cpu")
    assert (shown.field, shown.value.shape) == ("clip", (2, FRAMES, 1, 12, 12))
    assert not torch.equal(shown.value[0], shown.value[1])
    done = call("sample", predictor.folder, "-n", "2", "-o", "new.gif", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "new.gif\n"), done.stderr
    assert len(frames(tmp_path / "new.gif")[0]) == FRAMES
