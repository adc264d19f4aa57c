"""The commands around a run: eval, sample, report, data."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import gvt

FIVES = ("train.steps=2", "data.classes=[5]", "generator.width=8", "discriminator.width=8")
DIGITS = ("train.steps=2", "data.holdout=500")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a working folder with a classifier's run and, as the latest, a GAN's."""
    place = tmp_path_factory.mktemp("place")
    root = f"run.root={place / 'runs'}"
    classifier = gvt.run("classify.mnist", *DIGITS, root, quiet=True)
    gan = gvt.run("gan.mnist", *FIVES, root, quiet=True)
    return place, classifier.folder, gan.folder


def call(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "gvt", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_eval_prints_every_figure(runs):
    place, classifier, _ = runs
    done = call("eval", classifier, "--split", "val", cwd=place)
    assert done.returncode == 0, done.stderr
    named = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    assert named.keys() == {"accuracy", "f1", "precision", "recall", "loss/cross_entropy"}
    assert 0 < named["accuracy"] < 1


def test_eval_takes_the_latest_run_and_overrides(runs):
    place, _, _ = runs
    done = call("eval", "evaluate.batch_size=100", "--split", "test", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "loss/generator" in done.stdout


def test_sample_draws_a_grid_or_single_pictures(runs):
    place, _, gan = runs
    done = call("sample", "-n", "10", "-o", "some/grid.png", cwd=place)
    assert (done.returncode, done.stdout) == (0, "some/grid.png\n")
    assert Image.open(place / "some" / "grid.png").size == (4 * 30 + 2, 3 * 30 + 2)
    done = call("sample", gan, "-n", "3", "--seed", "1", "-o", "single", cwd=place)
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (place / "single").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    assert Image.open(place / "single" / "00000.png").size == (28, 28)


def test_report_of_one_run_is_in_its_folder_and_of_two_is_here(runs):
    place, classifier, gan = runs
    (gan / "report.html").unlink()
    done = call("report", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (gan / "report.html").is_file()
    done = call("report", classifier, gan, cwd=place)
    assert (done.returncode, done.stdout) == (0, "comparison.html\n")
    page = (place / "comparison.html").read_text(encoding="utf-8")
    assert "classify.mnist" in page
    assert "gan.mnist" in page


def test_data_show_draws_training_as_it_is_fed(runs):
    place, _, _ = runs
    inverted = "data.batch_transforms=[{name: RandomInvert, p: 1.0}]"
    for words in ((), (inverted,), ("--split", "test")):
        out = f"{len(words)}.png"
        done = call("data", "show", "classify.mnist", *words, "-n", 9, "-o", out, cwd=place)
        assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    plain, white, test = (np.array(Image.open(place / f"{n}.png")).mean() for n in (0, 1, 2))
    assert white > plain + 50
    assert test != plain


def test_data_check_counts_what_there_is(runs):
    place, _, _ = runs
    done = call("data", "check", "classify.mnist", "data.classes=[3, 7]", cwd=place)
    assert done.returncode == 0, done.stderr
    cells = {
        line[:14].strip(): line[14:].split() for line in done.stdout.splitlines() if line.strip()
    }
    # MNIST's own counts: of the last 5,000 training images 515 are threes.
    total = [int(n.replace(",", "")) for n in cells["images"]]
    assert sum(total) == 6131 + 6265 + 1010 + 1028
    assert [int(n.replace(",", "")) for n in cells["class 3"]][2] == 1010
    assert cells["unreadable"] == ["0", "0", "0"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("eval", "nowhere"), 1, "nowhere"),
        (("eval", "--split", "valid"), 2, "no split 'valid'"),
        (("sample", "-n", "0"), 2, "0"),
        (("sample", "-o", "grid.jpg"), 2, "ends in .png"),
        (("report", "nowhere"), 2, "nowhere"),
        (("data", "show", "gan.mnist", "--split", "valid"), 2, "valid"),
        (("data", "chekc", "gan.mnist"), 2, "chekc"),
        (("data", "check", "gan.minst"), 2, "gan.mnist"),
    ],
)
def test_what_is_wrong_is_one_line(runs, words, code, said):
    done = call(*words, cwd=runs[0])
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
