"""Read an image file of any kind as 8-bit grey or colour."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gvt.errors import DataError, GvtError
from gvt.files import open_regular
from gvt.printable import printable

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".gif"),
        *(".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    }
)
"""Suffixes that Pillow registers for the formats that are read, in lower case."""

# Pillow goes by content, and has formats that start other programs, such as EPS.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM")
"""Pillow's names of the formats that are read; JPEG includes MPO."""

_PART = 1 << 20
"""Pixels that are computed at a time."""

_LIMIT = Lock()

# Pillow warns about an image with too many pixels; for `read_picture` it is an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadablePicture(DataError):
    """The content of a file cannot be read as an image.

    Attributes:
        file: The file, if it is a single one.
    """

    file: Path | None = None


@dataclass(frozen=True)
class Picture:
    """An image, upright, opaque and with 8 bits a value.

    Attributes:
        image: Image of mode `L` or `RGB`.
        mode: Pillow's name of the mode of the file.
    """

    image: Image.Image
    mode: str


def read_picture(
    path: Path,
    channels: int,
    background: tuple[int, int, int],
    most_pixels: int | None = None,
    *,
    white: float | None = None,
    page: int | None = None,
) -> Picture:
    """Return the picture in a file.

    It is turned as its EXIF data says, and laid on the background where it is transparent. 16-bit
    values are divided by 257, so that black stays black and white white; 32-bit integers count as
    16-bit ones, as which Pillow hands out those of PNG and PGM, and floats run from 0 to 1. Colour
    becomes grey by ITU-R 601; colour profiles are not looked at.

    Where a camera gives fewer bits than the file has, `white` is its largest value. It holds for
    files of more than 8 bits a value, and for those of 8 bits if it is at most 255. Pillow reads
    the upper 8 bits of 16-bit colour.

    A picture may have as many pixels as Pillow's `Image.MAX_IMAGE_PIXELS`, which is 89 million
    unless you set it, or as `most_pixels`; 89 million in colour are 358 MB in Pillow's memory.

    Args:
        path: The file: PNG, JPEG, BMP, GIF, TIFF, WebP or PNM, whatever its suffix.
        channels: 1 for grey, 3 for colour.
        background: Red, green and blue, from 0 to 255.
        most_pixels: Largest number of pixels, instead of Pillow's limit.
        white: The value that is white; the largest of the type of the file by default.
        page: Number of the image in a file of several, from 1; the first by default.

    Raises:
        UnreadablePicture: If the content is damaged, not an image, or too large, it has no such
            page, or a value is below 0 or above white.
        DataError: If the file cannot be read, such as for a missing permission or a broken disk.
    """
    with picture_file(path, most_pixels, page) as file:
        mode = file.mode
        white = _white_of(file, white)
        # In place, since a copy of a large image needs much memory.
        ImageOps.exif_transpose(file, in_place=True)
        return Picture(opaque(eight_bit(file, white), background, channels), mode)


@contextmanager
def picture_file(
    path: Path, most_pixels: int | None = None, page: int | None = None
) -> Iterator[Image.Image]:
    """Open an image file with Pillow, to be read inside the context; nothing is decoded yet.

    Args:
        path: The file, in a format that `read_picture` reads.
        most_pixels: Largest number of pixels; Pillow's `Image.MAX_IMAGE_PIXELS` by default.
        page: Number of the image in a file of several, from 1; the first by default.

    Raises:
        UnreadablePicture: If its content cannot be read, also for errors inside the context.
        DataError: If the file cannot be read.
    """
    most = Image.MAX_IMAGE_PIXELS if most_pixels is None else most_pixels
    try:
        # Given a path, Pillow maps uncompressed TIFFs into memory and damages rotated ones.
        with (
            open_regular(path) as content,
            _limited(most_pixels),
            Image.open(content, formats=FORMATS) as file,
        ):
            if page is not None:
                if page > (count := pages_in(file)):
                    pages = f"{count} page{'s' * (count > 1)}"
                    raise ValueError(f"it has {pages}, and data.page is {page}")
                file.seek(page - 1)
            pixels = file.width * file.height
            if most is not None and pixels > most:
                raise ValueError(_too_large(f"{pixels / 1e6:,.0f}", most))
            yield file
    except UnreadablePicture as error:
        error.file = path
        raise
    except (MemoryError, GvtError):  # not about its content
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if _is_of_system(error):
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{printable(path)}: cannot be read: {reason}") from error
        problem = UnreadablePicture(
            f"{printable(path)}: cannot be read as a picture: {_reason(error, most)}; mend or "
            "remove it, or leave such files out with data.on_error=skip"
        )
        problem.file = path
        raise problem from error


def begins_like_a_picture(path: Path) -> bool:
    """Return whether a file can be opened as an image, of any suffix; nothing is decoded."""
    try:
        with picture_file(path):
            return True
    except (DataError, MemoryError):
        return False


def _is_of_system(error: Exception) -> bool:
    """Return whether an error is not about the content; Pillow's own errors have no number."""
    # A damaged file can make Pillow seek an invalid position, which is an invalid argument.
    numbered = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    return numbered or "out of memory" in str(error)


def _reason(error: Exception, most: int | None) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it begins like none of {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):  # at twice the limit
        return _too_large(f"more than {2 * (most or 0) / 1e6:,.0f}", most)
    return printable(" ".join(str(error).split())) or type(error).__name__


@contextmanager
def _limited(most_pixels: int | None) -> Iterator[None]:
    """Replace Pillow's limit, which is global, inside the context."""
    if most_pixels is None:
        yield
        return
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _too_large(count: str, most: int | None) -> str:
    return f"it has {count} million pixels; at most {(most or 0) / 1e6:,.0f} million are read"


def pages_in(file: Image.Image) -> int:
    """Return the number of images in an opened file."""
    return int(getattr(file, "n_frames", 1))


def is_deep(image: Image.Image) -> bool:
    """Return whether the values of an opened image have more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def has_upper_bits(file: Image.Image) -> bool:
    """Return whether Pillow reads only the upper 8 bits of the 16-bit colours of a file."""
    return not is_deep(file) and any(";16" in str(tile[3]) for tile in getattr(file, "tile", ()))


def _white_of(file: Image.Image, white: float | None) -> float | None:
    """Return which of the values that Pillow reads from a file is white."""
    if white is not None and has_upper_bits(file):
        return int(white) >> 8
    return white if white is None or is_deep(file) or white <= 255 else None


def eight_bit(image: Image.Image, white: float | None = None) -> Image.Image:
    """Return an image with 8 bits a value; Pillow would clip 16 bits.

    Args:
        image: The image. Its 16-bit values are divided by 257; floats run from 0 to 1.
        white: The value that is white; the largest of the type of the image by default.

    Raises:
        ValueError: If a value is below 0 or above white.
    """
    if not is_deep(image):
        return image if white is None else _brightened(image, white)
    values = np.asarray(image)
    transparent = image.info.get("transparency")  # of 16-bit grey it is one of these values
    if white is None:
        white = 1 if image.mode == "F" else 65535
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:  # also if one is not a number
        raise ValueError(_out_of_range(low, high, white))
    grey = np.empty(values.shape, np.uint8)
    rows = max(1, _PART // values.shape[1])
    for top in range(0, len(values), rows):  # in parts, since products take eight bytes a pixel
        grey[top : top + rows] = np.rint(values[top : top + rows] * (255.0 / white))
    image = Image.fromarray(grey)
    if transparent is not None:
        image.putalpha(Image.fromarray((values != transparent).astype(np.uint8) * np.uint8(255)))
    return image


def _brightened(image: Image.Image, white: float) -> Image.Image:
    """Return an image of 8 bits a value, grey or colour, with `white` as 255."""
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        return image
    colours = [band for band in image.split() if band.mode == "L"][: 3 if "R" in image.mode else 1]
    high = max(int(np.asarray(band).max()) for band in colours)
    if high > white:
        raise ValueError(_out_of_range(0, high, white))
    table = [min(255, round(value * 255 / white)) if white else 0 for value in range(256)]
    opaque = list(range(256)) if image.mode.endswith("A") else []
    return image.point(table * len(colours) + opaque)


def _out_of_range(low: float, high: float, white: float) -> str:
    return (
        f"its values run from {low:g} to {high:g}, and not within 0 (black) and {white:g} (white); "
        "the value of white can be given as data.white"
    )


def opaque(image: Image.Image, background: tuple[int, int, int], channels: int) -> Image.Image:
    """Return an image as `L` or `RGB`, on a background where it is transparent.

    Args:
        image: The image, of 8 bits a value.
        background: Red, green and blue, from 0 to 255, behind transparent pixels.
        channels: 1 for grey, by ITU-R 601; 3 for colour.
    """
    if image.mode == "LAB":  # which Pillow cannot convert to grey directly
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)
