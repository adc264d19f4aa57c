"""`gvt predict`, as people call it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt.cli.main import main

PIXELS = Path(__file__).parent / "pixels.py"
SHARP = "heads.where.weights=500"
NAMED = "heads.what.weights=5"


@pytest.fixture(scope="module")
def both(pixels, tmp_path_factory):
    """Return the folder of a run with two heads."""
    root = f"run.root={tmp_path_factory.mktemp('runs')}"
    return gvt.run("pixels.both", "train.steps=5", root, quiet=True).folder


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Return a folder with two pictures, below the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pics"
    folder.mkdir()
    for name, value in (("dark.png", 20), ("light.jpg", 240)):
        Image.fromarray(np.full((30, 40, 3), value, np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def call(monkeypatch, capfd):
    """Return what runs `gvt predict` in this process."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["gvt", "predict", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=out, stderr=err)

    return run


def test_classes_are_printed_with_their_probabilities(pixels, pictures, call):
    done = call("pixels.whole", "pics", NAMED)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [lines[0], lines[4]] == ["pics/dark.png  40x30", "pics/light.jpg  40x30"]
    for name, first in (("dark", 1), ("light", 5)):
        told = [line.split() for line in lines[first : first + 3]]
        assert told[0][0] == name
        values = [float(score) for _, score in told]
        assert sum(values) == pytest.approx(1, abs=0.002)
        assert values == sorted(values, reverse=True)
    assert sorted(path.name for path in pictures.parent.iterdir()) == ["pics"]


def test_a_folder_keeps_what_was_printed(pixels, pictures, call):
    assert call("pixels.whole", "pics", NAMED, "-o", "out").stderr == "written to out\n"
    assert [path.name for path in Path("out").iterdir()] == ["predictions.jsonl"]
    lines = [json.loads(line) for line in Path("out/predictions.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["pics/dark.png", "pics/light.jpg"]
    assert [line["class"] for line in lines] == ["dark", "light"]
    assert lines[0]["scores"][0] == lines[0]["score"] == lines[0]["top"][0]["score"]


def test_all_labels_above_the_threshold_are_printed(pixels, pictures, call):
    several = ("heads.what.several=true", "heads.what.weights=100")
    Image.new("L", (30, 30), 128).save("pics/grey.png")
    # Scores are those of -w (x - m)^2: a half at the mean, and far below beside it.
    done = call("pixels.whole", "pics/grey.png", "pics/dark.png", *several)
    assert done.stdout.splitlines() == [
        "pics/grey.png  30x30  grey  0.500", "pics/dark.png  40x30  nothing",
    ]  # fmt: skip


def test_masks_go_into_a_folder_of_their_own_unless_told(pixels, pictures, call):
    done = call("pixels.shade", "pics/dark.png", SHARP)
    assert (done.returncode, done.stderr) == (0, "written to predictions\n")
    assert done.stdout == "pics/dark.png  40x30  dark 100.0 %\n"
    names = sorted(path.name for path in Path("predictions").iterdir())
    assert names == ["dark.png", "dark_overlay.png", "predictions.jsonl"]
    again = call("pixels.shade", ".", SHARP)  # without what the first one wrote
    assert len(again.stdout.splitlines()) == 2


def test_several_heads_are_told_apart(both, pictures, call):
    done = call(both, "pics/light.jpg", "-o", "out", "predict.tile=16")
    lines = done.stdout.splitlines()
    heads = [line.split(":")[0] for line in lines[1:]]
    assert heads == ["  where", "  what", "  what", "  what"]
    line = json.loads(Path("out/predictions.jsonl").read_text())
    assert line["heads"]["where"]["mask"] == "light_where.png"
    assert len(line["heads"]["what"]["scores"]) == 3
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == ["light_overlay.png", "light_where.png", "predictions.jsonl"]


def test_objects_are_counted_and_go_into_a_folder_of_their_own_unless_told(pixels, pictures, call):
    values = np.zeros((50, 60), np.uint8)
    for left, top, side, value in ((2, 3, 20, 255), (30, 3, 12, 255), (5, 30, 15, 85)):
        values[top : top + side, left : left + side] = value
    Image.fromarray(values).save("pics/things.png")
    Image.new("L", (30, 20)).save("pics/none.png")
    done = call("pixels.things", "pics/things.png", "pics/none.png")
    assert (done.returncode, done.stderr) == (0, "written to predictions\n")
    assert done.stdout.splitlines() == [
        "pics/things.png  60x50  2 light (0.800 to 0.590), 1 dark (0.692)",
        "pics/none.png  30x20  nothing",
    ]
    names = sorted(path.name for path in Path("predictions").iterdir())
    assert names == [
        "none_overlay.png", "predictions.json", "predictions.jsonl", "things_overlay.png",
    ]  # fmt: skip
    surer = call("pixels.things", "pics/things.png", "predict.score=0.7", "-o", "out")
    assert surer.stdout == "pics/things.png  60x50  1 light (0.800)\n"
    assert len(json.loads(Path("out/predictions.json").read_text())) == 3


def test_broken_pictures_are_named_and_counted_and_the_others_written(pixels, pictures, call):
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    done = call("pixels.shade", "pics", SHARP, "-o", "out")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    first, second, last = done.stderr.splitlines()
    assert first.startswith("pics/broken.png: cannot be read as a picture: ")
    assert (second, last) == ("written to out", "error: 1 of 3 images could not be predicted")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pixels.shade", "none.png"], "none.png: there is no such file or folder"),
        (["pixels.shade", "empty"], "empty: has no images ("),
        (["pixels.shade", "device=cpu"], "no images: give image files or folders"),
        (["pixels.shade", "pics", "-o", "."], ".: has files, but no predictions.jsonl"),
        (["pixels.shade", "pics"], "pixels.shade: its networks are not trained"),
        (["pixels.shade", "pics", "predict.tile=0"], "predict.tile: "),
        (["pixels.anything", "pics"], "pixels.anything: its networks are not trained"),
        (["runs/none", "pics"], "runs/none: there is no such run or checkpoint"),
        (["none.safetensors", "pics"], "none.safetensors: there is no such run or checkpoint"),
        (["pics", "pics"], "'pics' is not a run folder, or has no checkpoint yet"),
        (["pixels.shad", "pics"], "did you mean 'pixels.shade'"),
        (["none.yaml", "pics"], "none.yaml: cannot be read"),
        (["pixels.shade", "pics", "--flips"], "No such option"),
        (["pixels.shade"], "Missing argument"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_written(
    pixels, pictures, call, words, message
):
    Path("empty").mkdir()
    done = call(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not Path("predictions").exists()


def test_a_damaged_checkpoint_is_one_line(pictures, call):
    Path("x.safetensors").write_bytes(b"nothing of the kind")
    done = call("x.safetensors", "pics")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_what_generates_predicts_nothing(pictures, call):
    small = ("generator.width=8", "discriminator.width=8", "data.classes=[5]")
    run = gvt.run("gan.mnist", *small, "train.steps=1", quiet=True)
    done = call(run.folder, "pics")
    assert done.returncode == 2
    error = "error: gan.mnist: GAN makes no predictions, so there is nothing to predict\n"
    assert done.stderr == error


@pytest.mark.slow
def test_interrupting_leaves_whole_masks_each_with_its_line(pictures, tmp_path):
    for number in range(400):
        Image.new("RGB", (200, 200), (number % 256,) * 3).save(pictures / f"{number:03}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "gvt", "predict", "pixels.shade", "pics", SHARP, "-o", "out",
         "--plugin", PIXELS, "device=cpu"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline()  # of the first picture
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    answer, last = filter(None, err.splitlines())
    assert answer == "finishing this image; press again to stop at once"
    count = 1 + len(out.splitlines())
    assert last == f"stopped after {count} of 402 images"
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == count
    masks = {json.loads(line)["mask"] for line in lines}
    overlays = {json.loads(line)["overlay"] for line in lines}
    written = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert written == masks | overlays
    for name in written:
        Image.open(tmp_path / "out" / name).load()


@pytest.mark.slow
def test_interrupting_leaves_results_of_the_pictures_that_are_done(pictures, tmp_path):
    values = np.zeros((200, 200), np.uint8)
    values[50:90, 60:120] = 255
    for number in range(400):
        Image.fromarray(values).save(pictures / f"{number:03}.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "gvt", "predict", "pixels.things", "pics", "-o", "out",
         "--plugin", PIXELS, "device=cpu"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(3):
        assert process.stdout.readline()
    process.kill()  # not even asked
    process.communicate(timeout=60)
    entries = json.loads((tmp_path / "out" / "predictions.json").read_bytes())
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert 3 <= len(lines) <= len(entries) <= len(lines) + 1
    assert {entry["file_name"] for entry in entries} >= {
        Path(json.loads(line)["file"]).name for line in lines
    }
