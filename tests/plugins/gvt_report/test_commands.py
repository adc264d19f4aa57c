"""The commands `gvt sample` and `gvt report`."""

import pytest
from PIL import Image


def test_sample_draws_a_grid_or_single_pictures(runs, call):
    place, _, gan = runs
    (place / "some").mkdir()
    done = call("sample", "-n", "10", "-o", "some/grid.png", cwd=place)
    assert (done.returncode, done.stdout) == (0, "some/grid.png\n")
    assert Image.open(place / "some" / "grid.png").size == (4 * 30 + 2, 3 * 30 + 2)
    done = call("sample", gan, "-n", "3", "--seed", "1", "-o", "single", cwd=place)
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in (place / "single").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    assert Image.open(place / "single" / "00000.png").size == (28, 28)


def test_report_of_one_run_is_in_its_folder_and_of_two_is_here(runs, call):
    place, classifier, gan = runs
    (gan / "report.html").unlink()
    done = call("report", cwd=place)
    assert done.returncode == 0, done.stderr
    assert (gan / "report.html").is_file()
    done = call("report", gan / "checkpoints" / "last.safetensors", "-o", "gan.html", cwd=place)
    assert (done.returncode, done.stdout) == (0, "gan.html\n")
    assert "gan.mnist" in (place / "gan.html").read_text(encoding="utf-8")
    done = call("report", classifier, gan, cwd=place)
    assert (done.returncode, done.stdout) == (0, "comparison.html\n")
    page = (place / "comparison.html").read_text(encoding="utf-8")
    assert "classify.mnist" in page
    assert "gan.mnist" in page


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sample", "-o", "runs/no/grid.png"), 2, "Folder 'runs/no' does not exist"),
        (("sample", "nowhere", "-o", "a.jpg"), 2, "a.jpg: name a file that ends in .wav, .gif"),
        (("report", "-o", "page.png"), 2, "'page.png' does not end in .html"),
        (("report", "-o", "folder.html"), 2, "File 'folder.html' is a directory"),
        (("report", "-o", "no/page.html"), 2, "Folder 'no' does not exist"),
        (("report", "a.txt"), 2, "'a.txt' is not a checkpoint of a run"),
        (("sample", "-n", "0"), 2, "0"),
        (("sample", "-o", "grid.jpg"), 2, "ends in .wav"),
        (("sample", "-o", "a.wav"), 2, "a.wav: name a file that ends in .png, or a folder"),
        (("report", "nowhere"), 2, "nowhere"),
    ],
)
def test_what_is_wrong_is_one_line(runs, call, words, code, said):
    place, _, _ = runs
    (place / "folder.html").mkdir(exist_ok=True)
    (place / "a.txt").touch()
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    done = call(*words, cwd=place)
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
