"""What an image file says of itself is known without its pixels."""

import numpy as np
import pytest
from PIL import Image

from gvt.vision.pictures.reading import UnreadablePicture, read_picture
from gvt_data.header import read_header

WHITE = (255, 255, 255)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_says_how_large_people_see_it(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("L", (24, 16)).save(path, exif=exif)
    header, picture = read_header(path), read_picture(path, 1, WHITE).image
    assert header.size == (picture.height, picture.width)
    assert header.turned is (orientation > 4)
    assert header.format == {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())


def test_the_header_is_read_without_the_pixels(tmp_path):
    path = tmp_path / "a.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    assert read_header(path).size == (64, 64)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UnreadablePicture, match=r"a\.png: cannot be read") as caught:
        read_header(path)
    assert caught.value.file == path


def test_a_page_has_its_own_size_and_limit(tmp_path):
    path = tmp_path / "a.tif"
    pages = [Image.new("L", (4, 3)), Image.new("L", (40, 30))]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert read_header(path, page=2).size == (30, 40)
    assert read_header(path).size == (3, 4)
    with pytest.raises(UnreadablePicture, match="million pixels"):
        read_header(path, most_pixels=100, page=2)
