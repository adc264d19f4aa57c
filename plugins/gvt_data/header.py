"""Read the size and the format of an image file without decoding its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gvt.vision.pictures import picture_file

# Tags of EXIF and TIFF, and the orientations that are a quarter turn from the stored pixels.
_WIDTH, _HEIGHT, _ORIENTATION, _QUARTER_TURNS = 0x0100, 0x0101, 0x0112, (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
        size: Height and width in pixels, after the rotation in its EXIF data.
        turned: Whether that rotation is a quarter turn.
        format: Pillow's name of the format, such as `PNG` or `JPEG`.
        mode: Pillow's name of the colour mode, such as `L` or `RGB`.
    """

    size: tuple[int, int]
    turned: bool
    format: str
    mode: str


def read_header(path: Path, most_pixels: int | None = None, page: int | None = None) -> Header:
    """Return the header of an image file, without decoding pixels.

    Args:
        path: The file.
        most_pixels: Largest number of pixels; Pillow's limit by default.
        page: Number of the image in a file of several, from 1; the first by default.

    Raises:
        UnreadablePicture: If it is not an image, or is too large.
        DataError: If the file cannot be read.
    """
    with picture_file(path, most_pixels, page) as file:
        # `getexif` decodes the pixels of a PNG without EXIF data in front of them.
        has_exif = file.format != "PNG" or "exif" in file.info
        turned = has_exif and file.getexif().get(_ORIENTATION, 1) in _QUARTER_TURNS
        # Some versions of Pillow return the rotated size of a TIFF, others the stored size.
        stored = getattr(file, "tag_v2", {_WIDTH: file.width, _HEIGHT: file.height})
        height, width = int(stored[_HEIGHT]), int(stored[_WIDTH])
        size = (width, height) if turned else (height, width)
        return Header(size, turned, file.format or "", file.mode)
