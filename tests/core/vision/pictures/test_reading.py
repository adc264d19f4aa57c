"""Pictures of every mode become 8-bit grey or colour, upright and opaque."""

import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

import gvt
from gvt.vision.pictures.reading import FORMATS, SUFFIXES, UnreadablePicture, read_picture

RED, WHITE = (255, 0, 0), (255, 255, 255)


@pytest.fixture
def read(tmp_path):
    """Return what saves a picture and reads it: its mode and pixels (H, W, 3) or (H, W)."""

    def check(image, suffix="png", channels=3, background=WHITE, white=None, **parameters):
        path = tmp_path / f"picture.{suffix}"
        image.save(path, **parameters)
        picture = read_picture(path, channels, background, white=white)
        return picture.mode, np.asarray(picture.image)

    return check


def grid(values, dtype):
    return Image.fromarray(np.array(values, dtype))


def test_grey_and_colour(read):
    grey = grid([[0, 77], [128, 255]], np.uint8)
    assert read(grey, channels=1)[1].tolist() == [[0, 77], [128, 255]]
    mode, pixels = read(grey)
    assert mode == "L"
    assert pixels.tolist() == [[[v] * 3 for v in row] for row in ([0, 77], [128, 255])]
    colour = Image.new("RGB", (3, 2), (10, 20, 30))
    assert read(colour)[1][1, 2].tolist() == [10, 20, 30]
    assert read(colour, channels=1)[1][0, 0] == 18  # 0.299 * 10 + 0.587 * 20 + 0.114 * 30


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled(read, suffix):
    values = [[0, 257, 128], [129, 32768, 65535]]
    mode, pixels = read(grid(values, np.uint16), suffix, channels=1)
    assert mode.startswith("I")
    assert pixels.tolist() == [[0, 1, 0], [1, 128, 255]]


def test_sixteen_bits_of_a_pgm_and_of_big_endian_files(tmp_path):
    pgm, tiff = tmp_path / "a.pgm", tmp_path / "a.tif"
    pgm.write_bytes(b"P5 2 1 65535\n" + np.array([257 * 7, 65535], ">u2").tobytes())
    assert np.asarray(read_picture(pgm, 1, WHITE).image).tolist() == [[7, 255]]
    image = Image.new("I;16B", (2, 1))
    image.putdata([257 * 9, 65535])
    image.save(tiff)
    assert np.asarray(read_picture(tiff, 1, WHITE).image).tolist() == [[9, 255]]


def test_thirty_two_bits(read):
    mode, pixels = read(grid([[0, 257 * 3, 65535]], np.int32), "tiff", channels=1)
    assert (mode, pixels.tolist()) == ("I", [[0, 3, 255]])
    mode, pixels = read(grid([[0, 0.2, 1]], np.float32), "tiff", channels=1)
    assert (mode, pixels.tolist()) == ("F", [[0, 51, 255]])


@pytest.mark.parametrize(
    "image",
    [
        grid([[0, 65536]], np.int32),
        grid([[-1, 5]], np.int32),
        grid([[0, 1.5]], np.float32),
        grid([[0, float("nan")]], np.float32),
    ],
)
def test_values_of_no_known_range_are_an_error(read, image):
    with pytest.raises(gvt.DataError, match=r"picture\.tiff: .*values run from .* data\.white"):
        read(image, "tiff")


def test_one_bit(read):
    mode, pixels = read(grid([[True, False]], bool), channels=1)
    assert (mode, pixels.tolist()) == ("1", [[255, 0]])


@pytest.mark.parametrize("background", [WHITE, (0, 0, 255)])
def test_what_is_transparent_shows_the_background(read, background):
    colour = Image.new("RGBA", (3, 1), (*RED, 0))
    colour.putpixel((1, 0), (*RED, 255))
    colour.putpixel((2, 0), (*RED, 51))
    pixels = read(colour, background=background)[1][0].tolist()
    mixed = [round(0.2 * r + 0.8 * b) for r, b in zip(RED, background, strict=True)]
    assert pixels == [list(background), list(RED), mixed]


def test_transparent_grey_and_palettes(read):
    grey = Image.new("LA", (2, 1), (90, 255))
    grey.putpixel((0, 0), (90, 0))
    assert read(grey, channels=1)[1].tolist() == [[255, 90]]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([1, 2, 3, 40, 50, 60])
    palette.putpixel((0, 0), 0)
    mode, pixels = read(palette)
    assert (mode, pixels.tolist()) == ("P", [[[1, 2, 3], [40, 50, 60]]])
    mode, pixels = read(palette, transparency=0, background=RED)
    assert (mode, pixels.tolist()) == ("P", [[[255, 0, 0], [40, 50, 60]]])


def test_one_transparent_value_of_sixteen_bits(read):
    grey = grid([[1000, 1001, 65535]], np.uint16)
    mode, pixels = read(grey, transparency=1000, background=RED)
    assert mode == "I;16"
    assert pixels.tolist() == [[list(RED), [4, 4, 4], [255, 255, 255]]]  # 1001 is 4, and not 1000
    assert read(grey, transparency=1000, channels=1)[1].tolist() == [[255, 4, 255]]


@pytest.mark.parametrize("channels", [1, 3])
def test_lab(read, channels):
    mode, pixels = read(Image.new("LAB", (4, 4), (128, 128, 128)), "tif", channels=channels)
    assert mode == "LAB"
    np.testing.assert_allclose(pixels, 119, atol=1)  # half of L* is a mid grey


def test_cmyk(read):
    mode, pixels = read(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "tif")
    assert (mode, pixels[3, 3].tolist()) == ("CMYK", [255, 0, 0])


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [
        *((1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (4, (-1, 0))),
        *((5, (0, 0)), (6, (0, -1)), (7, (-1, -1)), (8, (-1, 0))),
    ],
)
def test_exif_turns_the_picture(read, suffix, orientation, corner):
    image = Image.new("L", (24, 16))
    image.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    _, pixels = read(image, suffix, channels=1, exif=exif)
    assert pixels.shape == ((16, 24) if orientation < 5 else (24, 16))
    assert pixels[corner] > 200
    assert pixels.mean() == pytest.approx(255 / 6, abs=3)


def test_the_first_frame_of_an_animation(read):
    frames = [Image.new("P", (4, 4), n) for n in range(3)]
    for frame in frames:
        frame.putpalette([10, 10, 10, 90, 90, 90, 200, 200, 200])
    _, pixels = read(frames[0], "gif", save_all=True, append_images=frames[1:])
    assert np.unique(pixels).tolist() == [10]


def test_the_content_counts_and_not_the_suffix(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (2, 2), RED).save(path, format="png")
    assert read_picture(path, 3, WHITE).image.getpixel((1, 1)) == RED


def truncated(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:3000])


def postscript(path):
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp"])
def test_a_truncated_file_is_named(tmp_path, suffix):
    path = tmp_path / f"cut.{suffix}"
    truncated(path)
    with pytest.raises(gvt.DataError, match=rf"cut\.{suffix}: .*\bdata\.on_error=skip") as caught:
        read_picture(path, 3, WHITE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make", [postscript, lambda p: p.write_bytes(b""), lambda p: p.write_text("no")]
)
def test_what_is_no_picture_is_named(tmp_path, make):
    make(tmp_path / "a.png")
    with pytest.raises(UnreadablePicture, match=r"a\.png: cannot be read as a picture: \S"):
        read_picture(tmp_path / "a.png", 3, WHITE)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: None, "No such file"),
        (lambda p: p.mkdir(), ""),  # Windows has another word for it
        pytest.param(
            lambda p: p.symlink_to("/proc/self/mem"),
            "Input/output error",
            marks=pytest.mark.skipif(
                not Path("/proc/self/mem").exists(), reason="no file here that cannot be read"
            ),
        ),
    ],
)
def test_a_file_that_the_machine_does_not_give_is_no_broken_picture(tmp_path, make, says):
    make(tmp_path / "a.png")
    with pytest.raises(gvt.DataError, match=rf"a\.png: cannot be read: {says}") as caught:
        read_picture(tmp_path / "a.png", 3, WHITE)
    assert not isinstance(caught.value, UnreadablePicture)
    assert "skip" not in str(caught.value)


def test_memory_that_runs_out_is_not_the_pictures_fault(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        read_picture(tmp_path / "a.png", 3, WHITE)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("make", [lambda p: p.touch(), lambda p: None])
def test_what_a_name_would_do_to_a_terminal_is_escaped(tmp_path, make):
    path = tmp_path / "b\n\x1b[31mé.png"
    make(path)
    with pytest.raises(gvt.DataError, match=r"b\\n\\x1b\[31mé\.png: cannot") as caught:
        read_picture(path, 3, WHITE)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((1500, 2000), "has 3 million pixels; at most 2 million"),
        ((2400, 2500), "more than 4 million"),
    ],
)
def test_too_many_pixels_are_one_line(tmp_path, monkeypatch, size, says):
    Image.new("1", size).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2_000_000)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        with pytest.raises(UnreadablePicture, match=rf"a\.png: .* picture: it has .*{says[4:]}"):
            read_picture(tmp_path / "a.png", 3, WHITE)


def test_of_too_many_pixels_pillow_says_nothing_beside(tmp_path):
    Image.new("1", (1500, 2000)).save(tmp_path / "a.png")
    script = f"""
        from pathlib import Path
        from PIL import Image
        from gvt.vision.pictures.reading import UnreadablePicture, read_picture

        Image.MAX_IMAGE_PIXELS = 2_000_000
        try:
            read_picture(Path({str(tmp_path / "a.png")!r}), 1, (0, 0, 0))
        except UnreadablePicture as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_the_suffixes_are_those_that_pillow_registers():
    registered = Image.registered_extensions().items()
    assert {suffix for suffix, name in registered if name in (*FORMATS, "MPO")} == SUFFIXES


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    modes = {".pbm": "1", ".pfm": "F", ".pgm": "L"}
    Image.new(modes.get(suffix, "RGB"), (16, 12), 1 if suffix == ".pfm" else "white").save(path)
    pixels = np.asarray(read_picture(path, 1, WHITE).image)
    assert pixels.shape == (12, 16)
    assert (pixels == 255).all()


@pytest.mark.parametrize(
    ("dtype", "white", "suffix"),
    [
        (np.uint16, 4095, "png"),
        (np.uint16, 4095, "tif"),
        (np.uint16, 1023, "tif"),
        (np.uint16, 255, "png"),
        (np.int32, 4095, "tif"),
        (np.int32, 1_000_000, "tif"),
        (np.float32, 4095, "tif"),
        (np.float32, 0.25, "tif"),
        (np.uint8, 15, "png"),
    ],
)
def test_white_may_be_less_than_the_largest_value(read, dtype, white, suffix):
    values = np.array([[0, white / 5, white * 3 // 5 if white > 1 else 0.15, white]])
    image = Image.fromarray(values.astype(dtype))
    shares = values.astype(dtype).astype(float) / white
    _, pixels = read(image, suffix, channels=1, white=white)
    assert pixels.tolist() == np.rint(shares * 255).astype(int).tolist()
    brighter = Image.fromarray((values * 1.2).astype(dtype))
    with pytest.raises(UnreadablePicture, match=r"values run from 0 to .*data\.white"):
        read(brighter, suffix, channels=1, white=white)


def test_white_above_8_bits_leaves_pictures_of_8_bits(read):
    image = grid([[0, 77, 255]], np.uint8)
    assert read(image, channels=1, white=4095)[1].tolist() == [[0, 77, 255]]


def test_white_of_8_bits_holds_for_every_band_but_transparency(read):
    image = Image.new("RGBA", (1, 1), (15, 3, 0, 255))
    assert read(image, white=15)[1].tolist() == [[[255, 51, 0]]]
    image = Image.new("LA", (1, 1), (3, 255))
    assert read(image, white=15, channels=1)[1].tolist() == [[51]]


def test_white_holds_for_colour_of_16_bits(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(deep_tiff([[4095, 2064, 0]]))
    assert read_picture(path, 3, WHITE).image.getpixel((0, 0)) == (15, 8, 0)
    assert read_picture(path, 3, WHITE, white=4095).image.getpixel((0, 0)) == (255, 136, 0)


def deep_tiff(pixels):
    """Return a TIFF with one row of pixels of three 16-bit values."""
    data = np.array(pixels, "<u2").tobytes()
    tags = [
        *((256, 3, 1, len(pixels)), (257, 3, 1, 1), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, 1, 14), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, len(data)), (284, 3, 1, 1)),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    offset = 14 + len(data)
    head = struct.pack("<2sHI3H", b"II", 42, offset, 16, 16, 16)
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_a_page_is_chosen(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    pages = [Image.new("L", (16, 12), 50 * number) for number in range(4)]
    extra = {"lossless": True} if suffix == "webp" else {}
    pages[0].save(path, save_all=True, append_images=pages[1:], **extra)
    found = [
        read_picture(path, 1, WHITE, page=page).image.getpixel((3, 4)) for page in (None, 1, 3, 4)
    ]
    assert found == [0, 0, 100, 150]
    with pytest.raises(UnreadablePicture, match=rf"a\.{suffix}: .*4 pages, and data\.page is 5"):
        read_picture(path, 1, WHITE, page=5)


def test_a_picture_of_one_page_has_no_second(tmp_path):
    Image.new("L", (4, 3)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", 1, WHITE, page=1).image.size == (4, 3)
    with pytest.raises(UnreadablePicture, match="has 1 page, and"):
        read_picture(tmp_path / "a.png", 1, WHITE, page=2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UnreadablePicture, match="not a regular file"):
        read_picture(tmp_path / "a.png", 3, WHITE)
