"""What tasks show, in files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.files import save_files
from gvt.vision.drawing.tiles import PADDING
from gvt_report.sheets import (
    check_target,
    drop_sheets_after,
    save_progress,
    save_sampled,
    sheet_stem,
    sheets,
)


def save(pictures, folder, step):
    folder.mkdir(exist_ok=True)
    save_files(sheet_stem(folder, "a", step), gvt.Shown.of(pictures).files())


def test_the_progress_of_a_single_picture_is_followed(tmp_path):
    for step in (1, 2):
        save(torch.full((1, 1, 3, 3), step / 2), tmp_path / "s", step)
    save_progress(tmp_path / "s", "a", (3, 3), tmp_path / "progress.png", until=2)
    progress = Image.open(tmp_path / "progress.png")
    assert progress.size == (2 * (3 + PADDING) + PADDING, 3 + 2 * PADDING)
    assert progress.getpixel((PADDING, PADDING)) == (128, 128, 128)
    assert progress.getpixel((2 * PADDING + 3, PADDING)) == (255, 255, 255)


def test_the_progress_of_a_long_run_is_thinned_evenly(tmp_path):
    for step in range(130):
        save(torch.full((1, 1, 4, 4), step / 130), tmp_path / "s", step)
    save_progress(tmp_path / "s", "a", (4, 4), tmp_path / "progress.png", until=129)
    assert Image.open(tmp_path / "progress.png").size == (10 * (4 + PADDING) + PADDING,) * 2


def sampled(value, path, field="image"):
    """Save samples, and return the paths and the numbers of samples that were generated."""
    counts = []

    def generate(count):
        counts.append(count)
        return gvt.Shown(field, value[:count])

    return save_sampled(generate, len(value), path), counts


def test_pictures_go_into_a_file_or_a_folder(tmp_path):
    pictures = torch.rand(3, 1, 4, 5)
    sheet, folder = tmp_path / "deep" / "a.PNG", tmp_path / "far" / "single"
    assert sampled(pictures, sheet) == ([sheet], [1, 3])
    assert Image.open(sheet).size == (2 * 7 + 2, 2 * 6 + 2)
    assert sampled(pictures, folder) == ([folder], [3])
    assert sorted(p.name for p in folder.iterdir()) == [f"0000{i}.png" for i in range(3)]
    single = np.asarray(Image.open(folder / "00001.png"))[:, :, 0]
    assert (single == pictures[1, 0].mul(255).round().numpy()).all()
    sampled(1 - pictures, sheet)  # a file is replaced
    assert Image.open(sheet).getpixel((2, 2))[0] == round(255 * (1 - pictures[0, 0, 0, 0].item()))


def test_the_usual_file_has_the_suffix_of_the_field(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sampled(torch.rand(2, 1, 4, 4), None) == ([Path("samples.png")], [2])
    assert sampled(["one", "two"], None, "text") == ([Path("samples.txt")], [2])
    assert (tmp_path / "samples.txt").read_text() == "one\ntwo\n"
    sampled(["one", "two"], tmp_path / "each", "text")
    assert (tmp_path / "each" / "00001.txt").read_text() == "two\n"


def test_a_suffix_of_another_field_is_refused_after_one_sample(tmp_path):
    def generate(count):
        assert count == 1
        return gvt.Shown("text", ["one"])

    with pytest.raises(
        gvt.UsageError, match=r"a\.png: name a file that ends in \.txt, or a folder"
    ):
        save_sampled(generate, 5, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_samples_do_not_mix_with_those_of_an_earlier_time(tmp_path):
    folder = tmp_path / "single"
    sampled(torch.zeros(5, 1, 4, 4), folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for attempt in (
        lambda: check_target(folder),
        lambda: sampled(torch.ones(2, 1, 4, 4), folder),
    ):
        with pytest.raises(
            gvt.UsageError, match=r"single: has samples already, such as 00000\.png"
        ):
            attempt()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_folder_with_other_things_is_fine(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "photo.png").write_bytes(b"mine, too")
    check_target(tmp_path)
    sampled(torch.ones(1, 1, 4, 4), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "photo.png", "00000.png"}


@pytest.mark.parametrize("name", ["x.jpg", "x.tar", "plain"])
def test_an_invalid_target_is_an_error_of_one_line(name, tmp_path):
    path = tmp_path / name
    if not path.suffix:
        path.write_text("a file")
    ends = r"\.wav, \.gif, \.webp, \.png or \.txt"
    with pytest.raises(
        gvt.UsageError, match=f"{name}: name a file that ends in {ends}, or a folder"
    ):
        check_target(path)
    assert path.exists() == (not path.suffix)


def test_a_target_that_is_not_there_yet_is_not_made_by_checking(tmp_path):
    for name in ("a/b.png", "folder", "c.png"):
        check_target(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_files_of_later_steps_are_deleted_whatever_their_suffix(tmp_path):
    names = ["a_00000002.wav", "a_00000002.png", "a_00000003.wav", "b_00000003.txt", "mine.txt"]
    for name in (*names, ".unfinished.a_00000003.png", "a_00000003.ckpt"):
        (tmp_path / name).write_bytes(b"")
    paths = [("a", 2, tmp_path / names[1]), ("a", 2, tmp_path / names[0])]
    assert sheets(tmp_path)[:2] == paths
    drop_sheets_after(tmp_path, 2)
    assert sheets(tmp_path) == paths
    rest = {".unfinished.a_00000003.png", "a_00000003.ckpt", "mine.txt"}
    assert {p.name for p in tmp_path.iterdir()} == {*names[:2], *rest}


def test_without_sheets_there_is_no_progress(tmp_path):
    (tmp_path / "samples").mkdir()
    with pytest.raises(OSError, match=r"samples has no sheet 'a'$"):
        save_progress(tmp_path / "samples", "a", (4, 4), tmp_path / "progress.png", until=9)
    assert not (tmp_path / "progress.png").exists()
