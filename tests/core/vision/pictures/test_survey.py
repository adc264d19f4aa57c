"""Further pages and dark values are told, with how to read them."""

import re

import numpy as np
import pytest
from PIL import Image

from gvt import PictureReader


def saved(folder, values, number=0, suffix="tif"):
    path = folder / f"{number}.{suffix}"
    Image.fromarray(np.array(values)).save(path)
    return path


def stacked(folder, pages, number=0, suffix="tif"):
    path = folder / f"{number}.{suffix}"
    images = [Image.new("L", (16, 12), 200 - 20 * page) for page in range(pages)]
    images[0].save(path, save_all=True, append_images=images[1:])
    return path


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_pages_are_counted(tmp_path, suffix):
    files = [stacked(tmp_path, pages, pages, suffix) for pages in (1, 3, 5)]
    (note,) = PictureReader().notes_on(files)
    assert note.startswith("2 of 3 files have several pages (")
    assert f"5.{suffix}: 5), of which the first is read; data.page=N" in note
    assert PictureReader(page=2).notes_on(files) == []
    assert PictureReader().notes_on(files[:1]) == []


def test_previews_in_a_jpeg_are_no_pages(tmp_path):
    path = tmp_path / "a.jpg"
    images = [Image.new("RGB", (16, 12), 3 * (value,)) for value in (200, 100)]
    images[0].save(path, "MPO", save_all=True, append_images=images[1:])
    with Image.open(path) as file:
        assert (file.format, file.n_frames) == ("MPO", 2)
    assert PictureReader().notes_on([path]) == []


@pytest.mark.parametrize(
    ("dtype", "brightest", "says"),
    [
        (np.uint16, 3600, "3600 of 65535, .*data.white=4095 makes 4095 white"),
        (np.uint16, 1023, "1023 of 65535, .*data.white=1023 makes"),
        (np.uint16, 16383, ".*data.white=16383 makes"),
        (np.uint16, 256, ".*data.white=511 makes"),
        (np.int32, 3600, "3600 of 65535"),
        (np.float32, 0.25, "0.25 of 1, .*data.white=0.25 makes"),
        (np.uint8, 15, "15 of 255, .*data.white=15 makes"),
        (np.uint8, 1, ".*data.white=1 makes"),
    ],
)
def test_the_brightest_value_is_told(tmp_path, dtype, brightest, says):
    files = [saved(tmp_path, dtype([[0, brightest / n]]), n) for n in (2, 1)]
    (note,) = PictureReader().notes_on(files)
    assert re.match(f"the brightest value in 2 files is {says}", note), note
    assert PictureReader(white=brightest).notes_on(files) == []


@pytest.mark.parametrize(
    "values", [np.uint16([[16384]]), np.uint16([[0]]), np.uint8([[16]]), np.float32([[0.3]])]
)
def test_what_is_bright_enough_or_black_is_not_told(tmp_path, values):
    assert PictureReader().notes_on([saved(tmp_path, values)]) == []


def test_one_bright_file_is_enough(tmp_path):
    files = [saved(tmp_path, np.uint16([[value]]), value) for value in (100, 60_000)]
    assert PictureReader().notes_on(files) == []


def test_what_cannot_be_read_is_left_to_others(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    files = [tmp_path / "a.png", tmp_path / "missing.png", stacked(tmp_path, 3)]
    assert PictureReader().notes_on(files) == PictureReader().notes_on(files, every=True)
    assert PictureReader().notes_on(files)[0].startswith("1 of 1 files has several pages")


def test_of_many_files_some_are_looked_at(tmp_path):
    files = [stacked(tmp_path, 2 if number % 2 else 1, number) for number in range(90)]
    (note,) = PictureReader().notes_on(files)
    assert "of 64 files looked at have several pages" in note
    (note,) = PictureReader().notes_on(files, every=True)
    assert note.startswith("45 of 90 files have several pages")


def test_the_values_of_the_chosen_page_count(tmp_path):
    pages = [Image.new("I;16", (2, 2), value) for value in (60_000, 900)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert PictureReader(page=1).notes_on([tmp_path / "a.tif"]) == []
    (note,) = PictureReader(page=2).notes_on([tmp_path / "a.tif"])
    assert "is 900 of 65535" in note
