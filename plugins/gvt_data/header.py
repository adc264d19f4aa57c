"""The size and the format of an image file, without its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gvt.vision.pictures import picture_file

# Tags of EXIF and TIFF, and the orientations of images that are stored lying on a side.
_WIDTH, _HEIGHT, _ORIENTATION, _QUARTER_TURNS = 0x0100, 0x0101, 0x0112, (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before anything is decoded.

    Attributes:
        size: Height and width in pixels as people see it, turned as its EXIF data says.
        turned: Whether that is a quarter turn from how it is stored.
        format: As Pillow names it: `PNG`, `JPEG`.
    """

    size: tuple[int, int]
    turned: bool
    format: str


def read_header(path: Path, most_pixels: int | None = None, page: int | None = None) -> Header:
    """Return what an image file says of itself; nothing is decoded.

    Args:
        path: The file.
        most_pixels: How many it may have; Pillow's limit unless given.
        page: Which image of a file that holds several, from 1; the first unless given.

    Raises:
        UnreadablePicture: If it is not an image, or too large.
        DataError: If the file itself cannot be read.
    """
    with picture_file(path, most_pixels, page) as file:
        # Asked for its EXIF data, Pillow decodes a PNG that has none in front of its pixels.
        has_exif = file.format != "PNG" or "exif" in file.info
        turned = has_exif and file.getexif().get(_ORIENTATION, 1) in _QUARTER_TURNS
        # Of a TIFF some versions of Pillow give the size turned, and others as it is stored.
        stored = getattr(file, "tag_v2", {_WIDTH: file.width, _HEIGHT: file.height})
        height, width = int(stored[_HEIGHT]), int(stored[_WIDTH])
        return Header((width, height) if turned else (height, width), turned, file.format or "")
