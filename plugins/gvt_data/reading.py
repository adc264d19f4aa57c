"""One picture file, of any kind, as 8-bit grey or colour."""

from __future__ import annotations

import errno
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gvt import DataError

from .printable import printable

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
"""The names of picture files, in small letters."""

# Pillow goes by content, and knows formats that start other programs, such as EPS.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

# Of a picture with too many pixels Pillow warns, and `read_picture` says so itself, as an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UnreadablePicture(DataError):
    """What is in a file is no picture that can be taken."""


@dataclass(frozen=True)
class Picture:
    """A picture as people see it: upright, opaque, 8 bits.

    Attributes:
        image: Of mode `L` or `RGB`.
        mode: The file's own mode, as Pillow names it.
    """

    image: Image.Image
    mode: str


def read_picture(path: Path, channels: int, background: tuple[int, int, int]) -> Picture:
    """Return the picture in a file, the first one if it holds several.

    It is turned as its EXIF data says, and laid on the background where it is transparent. 16-bit
    values are divided by 257, so that black stays black and white white; 32-bit integers count as
    16-bit ones, as which Pillow hands out those of PNG and PGM, and floats run from 0 to 1. Colour
    becomes grey by ITU-R 601; colour profiles are not looked at.

    A picture may have as many pixels as Pillow's `Image.MAX_IMAGE_PIXELS`, which is 89 million
    unless you set it; a colour picture of that size is 358 MB in Pillow's memory.

    Args:
        path: The file: PNG, JPEG, BMP, GIF, TIFF, WebP, PPM or PGM, whatever its suffix.
        channels: 1 for grey, 3 for colour.
        background: Red, green and blue, from 0 to 255.

    Raises:
        UnreadablePicture: If the content is damaged, no picture, or too large, or 32-bit values
            leave their range.
        DataError: If the file itself cannot be read, as for want of rights or on a broken disk.
    """
    try:
        # Handed a path, Pillow maps uncompressed TIFFs into memory and scrambles turned ones.
        with path.open("rb") as content, Image.open(content, formats=_FORMATS) as file:
            mode = file.mode
            _check_pixels(file)
            upright = ImageOps.exif_transpose(file)
            return Picture(_opaque(_eight_bit(upright), background, channels), mode)
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        if _is_the_machines(error):
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{printable(path)}: cannot be read: {reason}") from error
        raise UnreadablePicture(
            f"{printable(path)}: cannot be read as a picture: {_reason(error)}; mend or remove it, "
            "or leave such files out with data.unreadable=skip"
        ) from error


def _is_the_machines(error: Exception) -> bool:
    """Whether it says nothing of what is in the file: Pillow's own errors bear no number."""
    # Where a damaged file sends Pillow to a place that no file has, that is an invalid argument.
    numbered = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    return numbered or "out of memory" in str(error)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it begins like none of {', '.join(_FORMATS)}"
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own, at twice the limit
        return _too_large("more than", 2 * (Image.MAX_IMAGE_PIXELS or 0))
    return printable(" ".join(str(error).split())) or type(error).__name__


def _check_pixels(image: Image.Image) -> None:
    most = Image.MAX_IMAGE_PIXELS
    pixels = image.width * image.height
    if most is not None and pixels > most:
        raise ValueError(_too_large("", pixels))


def _too_large(than: str, pixels: int) -> str:
    most = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    count = f"{than} {pixels / 1e6:,.0f}".lstrip()
    return f"it has {count} million pixels; at most {most:,.0f} million are read"


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the picture with 8 bits a value; Pillow itself would clip 16 to 8."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    transparent = image.info.get("transparency")  # of 16-bit grey it is one of these values
    white = 1 if image.mode == "F" else 65535
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:  # also if one is not a number
        raise ValueError(
            f"its 32-bit values run from {low:g} to {high:g}, and not within 0 (black) and "
            f"{white} (white)"
        )
    grey = Image.fromarray(np.rint(values * (255.0 / white)).astype(np.uint8))
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _opaque(image: Image.Image, background: tuple[int, int, int], channels: int) -> Image.Image:
    """Return the picture, `L` or `RGB`, laid on a background where it is transparent."""
    if image.mode == "LAB":  # which Pillow makes grey by way of colour only
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")
