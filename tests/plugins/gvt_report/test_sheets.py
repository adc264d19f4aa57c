"""Sheets of images in files."""

import numpy as np
import pytest
import torch
from PIL import Image

import gvt
from gvt.vision.drawing.tiles import PADDING
from gvt_report.sheets import (
    check_target,
    save_pictures,
    save_progress,
    save_sheet,
    sheet_path,
    sheets,
)


def test_a_single_picture_has_no_frame_and_its_progress_is_followed(tmp_path):
    for step in (1, 2):
        save_sheet(torch.full((1, 1, 3, 3), step / 2), sheet_path(tmp_path / "s", "a", step))
    image = Image.open(sheet_path(tmp_path / "s", "a", 2))
    assert image.size == (3, 3)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    save_progress(tmp_path / "s", "a", (3, 3), tmp_path / "progress.png", until=2)
    progress = Image.open(tmp_path / "progress.png")
    assert progress.size == (2 * (3 + PADDING) + PADDING, 3 + 2 * PADDING)
    assert progress.getpixel((PADDING, PADDING)) == (128, 128, 128)
    assert progress.getpixel((2 * PADDING + 3, PADDING)) == (255, 255, 255)


def test_a_sheet_is_arranged_as_its_pictures_are(tmp_path):
    save_sheet(torch.rand(1, 10, 1, 4, 4), tmp_path / "strip.png")
    size = Image.open(tmp_path / "strip.png").size
    assert size == (10 * (4 + PADDING) + PADDING, 4 + 2 * PADDING)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sheet_shows_its_pictures(tmp_path, channels):
    pictures = torch.rand(5, channels, 7, 9)
    save_sheet(pictures, tmp_path / "sheet.png")
    image = Image.open(tmp_path / "sheet.png").convert("RGB")
    assert image.size == (3 * (9 + PADDING) + PADDING, 2 * (7 + PADDING) + PADDING)
    expected = pictures[4].expand(3, -1, -1).mul(255).round()[:, 3, 5]
    corner = (PADDING + (9 + PADDING) + 5, PADDING + (7 + PADDING) + 3)
    assert list(image.getpixel(corner)) == expected.tolist()


def test_the_progress_of_a_long_run_is_thinned_evenly(tmp_path):
    for step in range(130):
        save_sheet(torch.full((1, 1, 4, 4), step / 130), sheet_path(tmp_path / "s", "a", step))
    save_progress(tmp_path / "s", "a", (4, 4), tmp_path / "progress.png", until=129)
    assert Image.open(tmp_path / "progress.png").size == (10 * (4 + PADDING) + PADDING,) * 2


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
def test_an_invalid_target_is_an_error_of_one_line(name, tmp_path):
    path = tmp_path / name
    if not path.suffix:
        path.write_text("a file")
    with pytest.raises(gvt.UsageError, match=f"{name}: name a file that ends in .png, or a folder"):
        check_target(path)
    assert path.exists() == (not path.suffix)


def test_a_target_that_is_not_there_yet_is_not_made_by_checking(tmp_path):
    for name in ("a/b.png", "folder", "c.png"):
        check_target(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_file_is_not_a_sheet(tmp_path):
    for name in ("a_00000002.png", ".unfinished.a_00000003.png"):
        (tmp_path / name).write_bytes(b"")
    assert sheets(tmp_path) == [("a", 2, tmp_path / "a_00000002.png")]


def test_without_sheets_there_is_no_progress(tmp_path):
    (tmp_path / "samples").mkdir()
    with pytest.raises(OSError, match=r"samples has no sheet 'a'$"):
        save_progress(tmp_path / "samples", "a", (4, 4), tmp_path / "progress.png", until=9)
    assert not (tmp_path / "progress.png").exists()
