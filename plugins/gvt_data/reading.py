"""One picture file, of any kind, as 8-bit grey or colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gvt import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
"""The names of picture files, in small letters."""

# Pillow goes by content, and knows formats that start other programs, such as EPS.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")


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

    Args:
        path: The file: PNG, JPEG, BMP, GIF, TIFF, WebP, PPM or PGM, whatever its suffix.
        channels: 1 for grey, 3 for colour.
        background: Red, green and blue, from 0 to 255.

    Raises:
        DataError: If it cannot be read, or 32-bit values leave their range.
    """
    try:
        # Handed a path, Pillow maps uncompressed TIFFs into memory and scrambles turned ones.
        with path.open("rb") as content, Image.open(content, formats=_FORMATS) as file:
            mode = file.mode
            upright = ImageOps.exif_transpose(file)
            return Picture(_opaque(_eight_bit(upright), background, channels), mode)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"it begins like none of {', '.join(_FORMATS)}"
        raise DataError(
            f"{path}: cannot be read as a picture: {reason}; mend or remove it, or leave such "
            "files out with data.unreadable=skip"
        ) from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the picture with 8 bits a value; Pillow itself would clip 16 to 8."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    white = 1 if image.mode == "F" else 65535
    low, high = values.min(), values.max()
    if not 0 <= low <= high <= white:  # also if one is not a number
        raise ValueError(
            f"its 32-bit values run from {low:g} to {high:g}, and not within 0 (black) and "
            f"{white} (white)"
        )
    return Image.fromarray(np.rint(values * (255.0 / white)).astype(np.uint8))


def _opaque(image: Image.Image, background: tuple[int, int, int], channels: int) -> Image.Image:
    """Return the picture, `L` or `RGB`, laid on a background where it is transparent."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")
