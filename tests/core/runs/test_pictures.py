"""Pictures in files, and the words on them."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.runs.pictures import (
    as_images,
    caption,
    check_target,
    last_sheets,
    save_pictures,
    save_progress,
)


def test_what_is_outside_of_black_and_white_is_clamped():
    values = torch.tensor([-3.0, -0.01, 0.0, 0.5, 1.0, 1.01, 7.0]).view(-1, 1, 1, 1)
    drawn = [image.getpixel((0, 0)) for image in as_images(values)]
    assert drawn == [(v, v, v) for v in (0, 0, 0, 128, 255, 255, 255)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog", "dog"),
        ("Köter 犬 $x_1$", "Köter 犬 $x_1$"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("a\x00b\x1b[31m", r"a\x00b\x1b[31m"),
        ("left\u202eright\udc80", r"left\u202eright\udc80"),
        (7, "7"),
        ("x" * 24, "x" * 24),
        ("x" * 300, "x" * 23 + "…"),
        ("\n" * 300, r"\n" * 11 + "\\…"),
    ],
)
def test_a_caption_is_one_short_line(name, shown):
    assert caption(name) == shown


def test_pictures_go_into_a_file_or_a_folder(tmp_path):
    pictures = torch.rand(3, 1, 4, 5)
    sheet, folder = tmp_path / "deep" / "a.PNG", tmp_path / "far" / "single"
    assert save_pictures(pictures, sheet) == sheet
    assert Image.open(sheet).size == (2 * 7 + 2, 2 * 6 + 2)
    save_pictures(pictures, folder)
    assert sorted(p.name for p in folder.iterdir()) == [f"0000{i}.png" for i in range(3)]
    single = np.asarray(Image.open(folder / "00001.png"))[:, :, 0]
    assert (single == pictures[1, 0].mul(255).round().numpy()).all()
    save_pictures(1 - pictures, sheet)  # a file is replaced


def test_pictures_do_not_mix_with_those_of_an_earlier_time(tmp_path):
    folder = tmp_path / "single"
    save_pictures(torch.zeros(5, 1, 4, 4), folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for attempt in (
        lambda: check_target(folder),
        lambda: save_pictures(torch.ones(2, 1, 4, 4), folder),
    ):
        with pytest.raises(
            gvt.UsageError, match=r"single: has pictures already, such as 00000\.png"
        ):
            attempt()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_folder_with_other_things_is_fine(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "photo.png").write_bytes(b"mine, too")
    check_target(tmp_path)
    save_pictures(torch.ones(1, 1, 4, 4), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"notes.txt", "photo.png", "00000.png"}


@pytest.mark.parametrize("name", ["x.jpg", "x.tar", "plain"])
def test_a_path_that_is_no_target_is_one_line(name, tmp_path):
    path = tmp_path / name
    if not path.suffix:
        path.write_text("a file")
    with pytest.raises(gvt.UsageError, match=f"{name}: give a file that ends in .png, or a folder"):
        check_target(path)
    assert path.exists() == (not path.suffix)


def test_a_target_that_is_not_there_yet_is_not_made_by_checking(tmp_path):
    for name in ("a/b.png", "folder", "c.png"):
        check_target(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_unfinished_is_no_sheet(tmp_path):
    for name in ("a_00000002.png", ".unfinished.a_00000003.png"):
        (tmp_path / name).write_bytes(b"")
    assert last_sheets(tmp_path) == {"a": tmp_path / "a_00000002.png"}


def test_without_sheets_there_is_no_progress(tmp_path):
    (tmp_path / "samples").mkdir()
    save_progress(tmp_path / "samples", "a", (4, 4), tmp_path / "progress.png", until=9)
    assert not (tmp_path / "progress.png").exists()
