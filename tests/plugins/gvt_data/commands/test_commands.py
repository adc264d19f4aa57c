"""`gvt data show` and `gvt data check`, as people use them."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.config.compose import recipe_text


def test_data_show_draws_augmented_training_samples(call, tmp_path):
    inverted = "data.batch_transforms=[{name: RandomInvert, p: 1.0}]"
    for words in ((), (inverted,), ("--split", "test")):
        out = f"{len(words)}.png"
        done = call("data", "show", "classify.mnist", *words, "-n", 9, "-o", out, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    plain, white, test = (np.array(Image.open(tmp_path / f"{n}.png")).mean() for n in (0, 1, 2))
    assert white > plain + 50
    assert test != plain


def test_data_check_counts_samples(call, tmp_path):
    done = call("data", "check", "classify.mnist", "data.classes=[3, 7]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cells = {
        line[:14].strip(): line[14:].split() for line in done.stdout.splitlines() if line.strip()
    }
    # MNIST's own counts: of the last 5,000 training images 515 are threes.
    total = [int(n.replace(",", "")) for n in cells["images"]]
    assert sum(total) == 6131 + 6265 + 1010 + 1028
    assert [int(n.replace(",", "")) for n in cells["class 3"]][2] == 1010
    assert cells["unreadable"] == ["0", "0", "0"]


def cells_of(table):
    """Return the rows of a table of `gvt data check` by their names."""
    rows = [line for line in table.splitlines() if line]
    return {row[:14].strip(): row[14:].split("  ") for row in rows}


def test_data_check_counts_the_files_own_sizes_and_what_is_left_out(call, tmp_path):
    for number in range(6):
        path = tmp_path / "photos" / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (number * 20, 90, 200)).save(path)
    Image.new("L", (50, 60)).save(tmp_path / "photos" / "train" / "a" / "tall.png")
    (tmp_path / "photos" / "train" / "b" / "broken.png").write_bytes(b"no picture")
    words = ("data.root=photos", "data.val=0", "data.size=8", "data.on_error=skip")
    done = call("data", "check", "classify.folder", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "6 40x30, 1 50x60" in done.stderr
    assert "8x8" not in done.stderr
    assert "broken.png: cannot be read as a picture" in done.stderr
    assert cells_of(done.stderr)["unreadable"] == ["1"]
    assert "\nval: left out, " in done.stderr
    assert "\ntest: left out, " in done.stderr
    assert done.stderr.splitlines()[-1] == "error: image_folder: 1 samples cannot be read"


def test_data_check_continues_after_any_error_of_a_sample(call, tmp_path):
    @gvt.register("dataset", "mouldy", summary="A third of it raises, or is no image")
    class Mouldy:
        splits = ("train",)
        classes = ("mould",)
        image_shape = (4, 2, 2)

        def __init__(self, split: str) -> None:
            pass

        def __len__(self):
            return 9

        def __getitem__(self, index):
            if index == 4:
                raise RuntimeError("it\nrained")
            image = "no image" if index == 5 else torch.full((4, 2, 2), index, dtype=torch.uint8)
            target = {"class": torch.tensor(0)}
            return gvt.Sample({"image": image}, target, gvt.Record(str(index), (2 + index // 8, 2)))

    recipe = tmp_path / "mine.yaml"
    recipe.write_text(recipe_text("gan.mnist", ["data.name=mouldy"]))
    done = call("data", "check", "mine.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    rows = cells_of(done.stderr)
    assert (rows["images"], rows["unreadable"], rows["class mould"]) == (["7"], ["2"], ["7"])
    assert rows["sizes"] == ["6 2x2, 1 2x3"]
    assert "4 channels" in done.stderr
    assert "\ntrain 4: RuntimeError: it rained\ntrain 5: AttributeError: " in done.stderr


def test_data_check_of_nothing_is_one_line(call, tmp_path):
    done = call("data", "check", "classify.folder", "data.root=nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: data.root: there is no folder 'nowhere'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("data", "show", "gan.mnist", "-o", "x.jpg"), 2, "'x.jpg' does not end in .png"),
        (("data", "show", "gan.mnist", "-o", "no/x.png"), 2, "Folder 'no' does not exist"),
        (("data", "show", "gan.mnist", "--split", "valid"), 2, "valid"),
        (("data", "chekc", "gan.mnist"), 2, "chekc"),
        (("data", "check", "gan.minst"), 2, "gan.mnist"),
    ],
)
def test_an_error_is_one_line_and_writes_nothing(call, tmp_path, words, code, message):
    done = call(*words, cwd=tmp_path)
    assert not list(tmp_path.iterdir())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert message in done.stderr
