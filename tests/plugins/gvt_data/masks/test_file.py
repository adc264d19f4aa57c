"""Masks of every kind become class numbers, or say in one line why not."""

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt_data.masks import tally as mask_tally
from gvt_data.masks.file import MaskReader, UnusableMask, tally_of
from gvt_data.masks.tally import Tally
from gvt_data.masks.values import mask_values

GRID = np.array([[0, 1, 2], [2, 255, 0]])
COLOURS = {"a": "#000000", "b": "#ff0000", "c": "#00ff00"}
PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0, *([7, 8, 9] * 253)]


@pytest.fixture
def read(tmp_path):
    """Return what saves a mask and reads it."""

    def check(image, classes=("a", "b", "c"), suffix="png", background=None, ignore=255, **saved):
        path = tmp_path / f"mask.{suffix}"
        image.save(path, **saved)
        given = classes if isinstance(classes, dict) else list(classes)
        values = mask_values(given, background, ignore, lambda: tally_of(path, 0, white=1))
        tally_of.cache_clear()
        return MaskReader(values).read(path).tolist()

    return check


def palette(values, colours=PALETTE):
    image = Image.new("P", (values.shape[1], values.shape[0]))
    image.putpalette(colours)
    image.putdata(values.flatten().tolist())
    return image


def grey(values, dtype=np.uint8):
    return Image.fromarray(values.astype(dtype))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif", "pgm"])
def test_grey_values_are_classes(read, suffix):
    assert read(grey(GRID), suffix=suffix) == GRID.tolist()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits(read, suffix):
    values = np.array([[1000, 0], [300, 1000]])
    classes = {"a": 0, "b": 300, "c": 1000}
    assert read(grey(values, np.uint16), classes, suffix) == [[2, 0], [1, 2]]
    assert read(grey(values, np.int32), classes, "tif") == [[2, 0], [1, 2]]


def test_of_a_palette_the_indices_count(read):
    assert read(palette(GRID), suffix="png") == GRID.tolist()
    assert read(palette(GRID), suffix="png", transparency=0) == GRID.tolist()
    assert read(palette(np.minimum(GRID, 2)), suffix="gif") == np.minimum(GRID, 2).tolist()


def test_and_its_colours_where_classes_have_colours(read):
    values = np.array([[2, 1], [0, 0]])
    shuffled = palette(values, [0, 255, 0, 255, 0, 0, 0, 0, 0])  # 0 is green, 2 black
    assert read(shuffled, COLOURS, ignore=None) == [[0, 1], [2, 2]]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "ppm"])
def test_colours(read, suffix):
    values = np.zeros((2, 2, 3), np.uint8)
    values[0, 0] = 255, 0, 0
    values[1, 1] = 0, 255, 0
    assert read(grey(values), COLOURS, suffix, ignore=None) == [[1, 0], [0, 2]]


def test_black_and_white(read):
    one_bit = Image.fromarray(np.array([[True, False]]))
    white = grey(np.array([[255, 0]]))
    for image in (one_bit, white):
        assert read(image, ["a", "b"], ignore=None) == [[1, 0]]
        assert read(image, {"a": 255, "b": 0}, ignore=None) == [[0, 1]]
        assert read(image, ["b"], background=0, ignore=None) == [[0, 1]]
    assert read(one_bit, {"a": 1, "b": 0}) == [[0, 1]]
    assert read(grey(np.array([[1, 0]])), ["a", "b"]) == [[1, 0]]


def test_colour_with_equal_bands_is_grey(read):
    values = np.repeat(GRID[..., None], 3, -1)
    assert read(grey(values)) == GRID.tolist()
    opaque = np.concatenate([values, np.full((2, 3, 1), 255)], -1)
    assert read(grey(opaque)) == GRID.tolist()
    assert read(grey(np.stack([GRID, np.full((2, 3), 255)], -1))) == GRID.tolist()


def test_a_mask_is_turned_as_its_image(read):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(grey(GRID), exif=exif) == np.rot90(GRID, -1).tolist()


def coloured():
    return Image.fromarray(np.array([[[255, 0, 0], [0, 0, 9]]], np.uint8))


def transparent():
    return Image.fromarray(np.array([[[0, 0, 0, 255], [1, 1, 1, 0]]], np.uint8))


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (
            lambda: grey(np.array([[0, 1], [2, 9]])),
            {},
            r"9 at x=1, y=1 is not a class; the masks have 0, 1, 2, 255; .*data\.ignore=9$",
        ),
        (
            coloured,
            {"classes": COLOURS, "ignore": None},
            r"#000009 at x=1, y=0 is not a class; .*#000000, #ff0000",
        ),
        (
            coloured,
            {},
            r"is in colour, #000009 \(50\.0 %\), #ff0000 \(50\.0 %\), .*data\.classes=.*palette",
        ),
        (transparent, {}, "is transparent in places"),
        (lambda: grey(GRID), {"suffix": "jpg"}, "JPEG is lossy and changes values"),
        (lambda: grey(GRID).convert("RGB"), {"suffix": "webp"}, "WEBP is lossy and changes"),
        (lambda: Image.new("CMYK", (2, 2)), {"suffix": "tif"}, "of mode CMYK"),
        (lambda: grey(GRID, np.float32), {"suffix": "tif"}, "of mode F"),
        (lambda: grey(GRID, np.uint16), {"classes": COLOURS, "ignore": None}, "of mode I;16"),
        (lambda: grey(GRID * 1000, np.int32), {"suffix": "tif"}, "has values from 0 to 255000"),
    ],
)
def test_a_mask_that_cannot_be_taken_is_one_line(read, tmp_path, make, options, says):
    with pytest.raises(UnusableMask, match=rf"mask\.\w+: .*{says}") as caught:
        read(make(), **options)
    assert "\n" not in str(caught.value)
    assert caught.value.file.parent == tmp_path


def test_a_large_mask_is_read_in_bands(read, monkeypatch):
    values = np.random.default_rng(0).integers(0, 3, (50, 7))
    monkeypatch.setattr(mask_tally, "AT_ONCE", 21)
    assert read(grey(values)) == values.tolist()
    values[40, 3] = 9
    with pytest.raises(UnusableMask, match="9 at x=3, y=40 is not a class"):
        read(grey(values))


def test_255_that_nobody_explains_is_asked_for(tmp_path):
    path = tmp_path / "mask.png"
    grey(GRID).save(path)
    reader = MaskReader(mask_values(["a", "b", "c"], None, None, Tally))
    says = r"mask\.png: has the values 0 \(33\.3 %\), 1 .*, 2 .*, 255 \(16\.7 %\), and the meaning"
    with pytest.raises(gvt.DataError, match=says) as caught:
        reader.read(path)
    # It is a setting that is missing, and on_error=skip leaves out broken files.
    assert not isinstance(caught.value, UnusableMask)


def test_the_values_that_there_are(tmp_path):
    path = tmp_path / "mask.png"
    grey(GRID).save(path)
    assert tally_of(path, 1).counts == {0: 2, 1: 1, 2: 2, 255: 1}
    Image.fromarray(np.array([[True, False, True]])).save(path)
    assert tally_of(path, 2).counts == {0: 1, 255: 2}
    assert tally_of(path, 2, white=1).counts == {0: 1, 1: 2}
    coloured().save(path)
    with pytest.raises(UnusableMask, match="is in colour"):
        tally_of(path, 3)
    grey(np.arange(100).reshape(10, 10)).save(path)
    with pytest.raises(UnusableMask, match="has 100 values, too many to be classes"):
        tally_of(path, 4)
    grey(np.random.default_rng(0).integers(0, 9, (64, 64))).save(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(gvt.DataError, match="cannot be read as a picture"):
        tally_of(path, 5)
