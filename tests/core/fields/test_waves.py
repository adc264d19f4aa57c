"""Data without images: sounds of a plugin, with heads that exist already and with a task."""

import io
import re
import sys
import wave
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gvt
from gvt_tensorboard.writer import EventWriter

pytestmark = pytest.mark.usefixtures("drawn")

HERE = Path(__file__).parent
RATE, LENGTH, PAUSE = 8000, 1600, 800


@pytest.fixture(scope="module", autouse=True)
def waves(load):
    load("waves.py")


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    root = f"run.root={tmp_path_factory.mktemp('tones')}"
    return gvt.run(str(HERE / "tones.yaml"), root, "train.keep=9", quiet=True)


@pytest.fixture(scope="module")
def coder(tmp_path_factory):
    root = f"run.root={tmp_path_factory.mktemp('coder')}"
    return gvt.run(str(HERE / "coder.yaml"), root, "train.keep=9", quiet=True)


def heard(content):
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_a_head_for_images_learns_from_sounds(tones):
    assert tones.outcome == "success"
    assert tones.metrics["val/accuracy"] >= 0
    names = {p.name for p in (tones.folder / "evaluation").iterdir()}
    media = {f"val_mistakes.{suffix}" for suffix in ("txt", "wav", "png")}
    assert names == {"val.json", "val_confusion.png", *media}
    title, _, first, *_ = (
        (tones.folder / "evaluation" / "val_mistakes.txt").read_text().splitlines()
    )
    assert title == "val, step 4: mistakes"
    pattern = r"1  tone (\d+): predicted (falling|rising) \(\d+%\), is (falling|rising)  .* (\d+)"
    number, predicted, right, same = re.fullmatch(pattern, first).groups()
    assert (predicted != right, number) == (True, same)


def test_the_data_is_heard_and_read(tones):
    paths = {p.name: p for p in tones.folder.glob("data.*")}
    assert paths.keys() == {"data.txt", "data.wav", "data.png"}
    lines = paths["data.txt"].read_text().splitlines()
    assert len(lines) == 16
    pattern = r"1  (falling|rising)  tone number (\d+)"
    name, number = re.fullmatch(pattern, lines[0]).groups()
    assert name == ("falling", "rising")[int(number) % 2]
    sound = heard(paths["data.wav"].read_bytes())
    assert len(sound) >= 8 * (LENGTH - 200) + 7 * PAUSE
    assert np.abs(sound[:800]).max() > 0.3


def test_a_resumed_run_is_the_same_bit_by_bit(tones, coder, tmp_path, same_tensors):
    for run, loss in ((tones, "val/loss/cross_entropy"), (coder, "val/loss/mse")):
        folder = copytree(run.folder, tmp_path / run.config.recipe)
        middle = folder / "checkpoints" / "step_00000002.safetensors"
        gvt.resume(middle, "train.steps=3", quiet=True)
        # What the first run showed after the checkpoint is gone.
        assert {p.stem[-1] for p in folder.glob("samples/*")} <= {"1", "2", "3"}
        again = gvt.resume(folder, "train.steps=4", quiet=True)
        same_tensors(run.checkpoint, again.checkpoint)
        assert again.metrics[loss] == run.metrics[loss]


@pytest.mark.parametrize("run", ["tones", "coder"])
def test_an_evaluation_repeats_that_of_the_run(run, request):
    run = request.getfixturevalue(run)
    evaluation = gvt.evaluate_checkpoint(run.folder)
    assert evaluation.named("val").items() <= run.metrics.items()


def test_what_the_task_shows_is_a_sound_with_its_spectrogram_and_a_text(coder):
    names = {p.name for p in (coder.folder / "samples").iterdir()}
    suffixes = {"coded": ("wav", "png"), "errors": ("txt",)}
    steps = (1, 2, 4)
    assert names == {
        f"{n}_{s:08d}.{e}" for n, ends in suffixes.items() for e in ends for s in steps
    }
    sound = heard((coder.folder / "samples" / "coded_00000004.wav").read_bytes())
    assert len(sound) == 3 * LENGTH + 2 * PAUSE
    assert not sound[LENGTH : LENGTH + PAUSE].any()
    net, data = gvt.load(coder.checkpoint).net, sys.modules["waves"].Tones("val")
    first = F.pad(data[0].inputs["wave"], (0, 100))  # the longest of the first samples
    with torch.no_grad():
        expected = net["decoder"](net["encoder"](first[None, None]))[0, 0].tanh()
    np.testing.assert_allclose(sound[:LENGTH], expected, atol=1e-3)
    drawn = Image.open(coder.folder / "samples" / "coded_00000004.png")
    assert drawn.height == 2 * 65  # 65 frequencies
    lines = (coder.folder / "samples" / "errors_00000004.txt").read_text().splitlines()
    assert len(lines) == 3
    assert all(re.fullmatch(r"0\.\d{4} <mse>", line) for line in lines)
    assert not (coder.folder / "progress.png").exists()


def test_the_page_plays_sounds_above_their_spectrogram(coder, tones):
    page = (coder.folder / "report.html").read_text()
    assert "Pictures, sounds and texts</h2>" in page
    section = page[page.index('<section id="pictures">') :]
    kinds = re.findall(
        r'<audio controls [^>]*src="(data:audio/wav);|<img src="(data:image/png);', section
    )
    assert kinds[:2] == [("data:audio/wav", ""), ("", "data:image/png")]
    assert "&lt;mse&gt;" in section
    assert "<mse>" not in section
    mistakes = (tones.folder / "report.html").read_text()
    assert "val mistakes" in mistakes
    assert "predicted" in mistakes


def test_tensorboard_has_the_sound_and_the_text(coder, tmp_path):
    files = {p.suffix: p.read_bytes() for p in coder.folder.glob("samples/*_00000004.*")}
    writer = EventWriter(tmp_path, step=0)
    writer.files("coded", [(suffix, files[suffix]) for suffix in (".wav", ".png")], step=4)
    writer.files("errors", [(".txt", files[".txt"])], step=4)
    writer.close()
    everything = {"audio": 0, "images": 0, "tensors": 0}
    events = EventAccumulator(str(tmp_path), size_guidance=everything).Reload()
    (sound,) = events.Audio("coded")
    assert (sound.step, sound.sample_rate, sound.content_type) == (4, RATE, "audio/wav")
    assert sound.encoded_audio_string == files[".wav"]
    (drawn,) = events.Images("coded png")
    assert drawn.encoded_image_string == files[".png"]
    (text,) = events.Tensors("errors/text_summary")
    assert b"<mse>" in text.tensor_proto.string_val[0]


def test_samples_are_sounds(coder, call, tmp_path):
    shown = gvt.sample(coder.folder, 2, device="cpu")
    assert (shown.field, shown.value.shape) == ("wave", (2, LENGTH))
    torch.testing.assert_close(gvt.sample(coder.folder, 1, device="cpu").value, shown.value[:1])
    done = call("sample", coder.folder, "-n", "2", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "samples.wav\nsamples.png\n"), done.stderr
    sound = heard((tmp_path / "samples.wav").read_bytes())
    assert len(sound) == 2 * LENGTH + PAUSE
    np.testing.assert_allclose(sound[:LENGTH], shown.value[0], atol=1e-4)
    done = call("sample", coder.folder, "-n", "2", "-o", "each", cwd=tmp_path)
    assert {p.name for p in (tmp_path / "each").iterdir()} == {
        f"0000{i}.{suffix}" for i in range(2) for suffix in ("wav", "png")
    }
    done = call("sample", coder.folder, "-o", "x.png", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "x.png: name a file that ends in .wav, or a folder" in done.stderr
    assert not (tmp_path / "x.png").exists()


def test_the_commands_take_data_without_images(call, tmp_path):
    recipe, plugin = HERE / "tones.yaml", ("--plugin", HERE / "waves.py")
    done = call("run", recipe, *plugin, "train.steps=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| tones, 16 samples, 0 workers |" in done.stderr
    assert "warning" not in done.stderr
    done = call("eval", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    done = call("data", "show", recipe, "-n", "3", *plugin, cwd=tmp_path)
    assert done.stdout.split() == ["data.txt", "data.wav", "data.png"], done.stderr
    assert len((tmp_path / "data.txt").read_text().splitlines()) == 3
    done = call("data", "check", recipe, "data.samples=5", *plugin, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["samples", "5", "5"] in rows
    assert ["class", "rising", "2", "3"] in rows
    assert "sizes" not in done.stdout
