"""One picture file, of any kind, as 8-bit grey or colour."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

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
"""The suffixes that Pillow registers for the formats that are read, in small letters."""

# Pillow goes by content, and knows formats that start other programs, such as EPS.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM")
"""The formats that are read, as Pillow names them; it takes MPO for a kind of JPEG."""

_PART = 1 << 20
"""Pixels that are computed with at a time."""

_LIMIT = Lock()

# Of a picture with too many pixels Pillow warns, and `read_picture` says so itself, as an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadablePicture(DataError):
    """What is in a file is no picture that can be taken.

    Attributes:
        file: The file, where it is a single one.
    """

    file: Path | None = None


@dataclass(frozen=True)
class Picture:
    """A picture as people see it: upright, opaque, 8 bits.

    Attributes:
        image: Of mode `L` or `RGB`.
        mode: The file's own mode, as Pillow names it.
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
        most_pixels: How many a picture may have, instead of Pillow's limit.
        white: The value that is white; the largest of the file's type unless given.
        page: Which picture of a file that holds several, from 1; the first unless given.

    Raises:
        UnreadablePicture: If the content is damaged, no picture, or too large, it has no such
            page, or a value is below 0 or above white.
        DataError: If the file itself cannot be read, as for want of rights or on a broken disk.
    """
    with picture_file(path, most_pixels, page) as file:
        mode = file.mode
        white = _white_of(file, white)
        # In place, since a copy of a large picture is another large picture.
        ImageOps.exif_transpose(file, in_place=True)
        return Picture(_opaque(_eight_bit(file, white), background, channels), mode)


@contextmanager
def picture_file(
    path: Path, most_pixels: int | None = None, page: int | None = None
) -> Iterator[Image.Image]:
    """Open a picture file as Pillow has it, to be read inside; nothing is decoded yet.

    Args:
        path: The file, of the formats that `read_picture` takes.
        most_pixels: How many it may have; Pillow's `Image.MAX_IMAGE_PIXELS` unless given.
        page: Which picture of a file that holds several, from 1; the first unless given.

    Raises:
        UnreadablePicture: If something is wrong with its content, also when it is raised inside.
        DataError: If the file itself cannot be read.
    """
    try:
        # Handed a path, Pillow maps uncompressed TIFFs into memory and scrambles turned ones.
        with (
            open_regular(path) as content,
            _limited(most_pixels) as most,
            _opened(content, most) as file,
        ):
            if page is not None:
                _turn_to(file, page)
            pixels = file.width * file.height
            if most is not None and pixels > most:
                raise ValueError(_too_large(f"{pixels / 1e6:,.0f}", most))
            yield file
    except UnreadablePicture as error:
        error.file = path
        raise
    except (MemoryError, GvtError):  # they say nothing of its content
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if _is_the_machines(error):
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{printable(path)}: cannot be read: {reason}") from error
        problem = UnreadablePicture(
            f"{printable(path)}: cannot be read as a picture: {_reason(error)}; mend or remove it, "
            "or leave such files out with data.on_error=skip"
        )
        problem.file = path
        raise problem from error


def begins_like_a_picture(path: Path) -> bool:
    """Whether a file can be opened as a picture, whatever its suffix; nothing is decoded."""
    try:
        with picture_file(path):
            return True
    except (DataError, MemoryError):
        return False


def _is_the_machines(error: Exception) -> bool:
    """Whether it says nothing of what is in the file: Pillow's own errors bear no number."""
    # Where a damaged file sends Pillow to a place that no file has, that is an invalid argument.
    numbered = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    return numbered or "out of memory" in str(error)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it begins like none of {', '.join(FORMATS)}"
    return printable(" ".join(str(error).split())) or type(error).__name__


def _opened(content: IO[bytes], most: int | None) -> Image.Image:
    try:
        return Image.open(content, formats=FORMATS)
    except Image.DecompressionBombError as error:  # Pillow's own, at twice the limit
        raise ValueError(_too_large(f"more than {2 * (most or 0) / 1e6:,.0f}", most)) from error


@contextmanager
def _limited(most_pixels: int | None) -> Iterator[int | None]:
    """Let Pillow, which knows one limit for all, open pictures up to another one."""
    if most_pixels is None:
        yield Image.MAX_IMAGE_PIXELS
        return
    with _LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, most_pixels
        try:
            yield most_pixels
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _too_large(count: str, most: int | None) -> str:
    return f"it has {count} million pixels; at most {(most or 0) / 1e6:,.0f} million are read"


def pages_in(file: Image.Image) -> int:
    """Return how many pictures an opened file holds."""
    return int(getattr(file, "n_frames", 1))


def _turn_to(file: Image.Image, page: int) -> None:
    count = pages_in(file)
    if page > count:
        raise ValueError(f"it has {count} page{'s' * (count > 1)}, and data.page is {page}")
    file.seek(page - 1)


def is_deep(image: Image.Image) -> bool:
    """Whether the values of a picture that Pillow has opened are of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def has_upper_bits(file: Image.Image) -> bool:
    """Whether Pillow reads only the upper 8 bits of an opened file's 16-bit colours."""
    return not is_deep(file) and any(";16" in str(tile[3]) for tile in getattr(file, "tile", ()))


def _white_of(file: Image.Image, white: float | None) -> float | None:
    """Return what is white among the values that Pillow reads of a file."""
    if white is not None and has_upper_bits(file):
        return int(white) >> 8
    return white if white is None or is_deep(file) or white <= 255 else None


def _eight_bit(image: Image.Image, white: float | None) -> Image.Image:
    """Return the picture with 8 bits a value; Pillow itself would clip 16 to 8."""
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
    """Return a picture of 8 bits a value, grey or colour, with `white` as 255."""
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


def _opaque(image: Image.Image, background: tuple[int, int, int], channels: int) -> Image.Image:
    """Return the picture, `L` or `RGB`, laid on a background where it is transparent."""
    if image.mode == "LAB":  # which Pillow makes grey by way of colour only
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)
