"""Reading a mask: the class of every pixel, from its value or its colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from gvt.pictures.reading import UnreadablePicture, picture_file
from gvt.printable import printable

from .values import UNKNOWN, WHITE, MaskValues, Value, written

Array = np.ndarray[Any, np.dtype[Any]]

LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats, as Pillow names them, that may change values."""

MOST_FOUND = 64
"""Values that are taken for classes where nobody says which there are."""

_AT_ONCE = 1 << 22
"""Pixels that are looked at together, so that a huge mask takes little beside itself."""

_SHOWN = 8


class UnusableMask(UnreadablePicture):
    """A mask does not say what the classes are, or does not fit its image."""


@dataclass(frozen=True)
class MaskReader:
    """From mask files to the number of each pixel's class.

    Attributes:
        values: What values or colours mean.
        most_pixels: How many a mask may have; Pillow's limit unless given.
    """

    values: MaskValues
    most_pixels: int | None = None

    def read(self, path: Path) -> Array:
        """Return the number of each pixel, (H, W) uint8, of a mask turned as its EXIF data says.

        Raises:
            UnusableMask: If a value is no class, or they cannot be told from such a file.
            UnreadablePicture: If its content cannot be taken for a picture.
            DataError: If the file itself cannot be read.
        """
        with picture_file(path, self.most_pixels) as file:
            check_lossless(path, file.format or "")
            ImageOps.exif_transpose(file, in_place=True)
            if self.values.are_colours:
                pixels = _colours_in(path, file)
            else:  # white of one bit is the second value, whichever that is
                pixels = _values_in(path, file, 1 if 1 in self.values.numbers else WHITE)
            numbers = np.empty(pixels.shape[:2], np.uint8)
            for top, band in _bands(pixels):
                numbers[top : top + len(band)] = self._table[_keys(band)]
            self._check(path, pixels, numbers)
            return numbers

    @cached_property
    def _table(self) -> Array:
        """The number of each value or colour that there can be."""
        table = np.full(1 << (24 if self.values.are_colours else 16), UNKNOWN, np.uint8)
        for value, number in self.values.numbers.items():
            key = value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]
            table[key] = number
        return table

    def _check(self, path: Path, pixels: Array, numbers: Array) -> None:
        for top, band in _bands(numbers):
            unknown = band == UNKNOWN
            if unknown.any():
                y, x = np.unravel_index(int(unknown.argmax()), unknown.shape)
                value = written(_plain(pixels[top + y, x]))
                raise UnusableMask(
                    f"{printable(path)}: {value} at x={x}, y={top + y} is no class of the masks, "
                    f"which have {self.values}; name it in data.classes, or give "
                    f"data.ignore={value}"
                )
        if self.values.white_is_one and pixels.ndim == 2:
            seen = _seen(pixels)
            if seen[1] and seen[WHITE]:
                raise UnusableMask(
                    f"{printable(path)}: has 1 and 255, which both stand for the second of two "
                    "classes; if 255 counts nowhere, give data.ignore=255"
                )


def check_lossless(path: Path, format: str) -> None:
    """Check that a mask's file has kept its values.

    Raises:
        UnusableMask: If its format may have changed them.
    """
    if format in LOSSY:
        raise UnusableMask(
            f"{printable(path)}: is a {format}, which changes values; save masks as PNG or TIFF"
        )


@lru_cache(maxsize=1 << 16)
def values_of(path: Path, modified: int, most_pixels: int | None = None) -> frozenset[int]:
    """Return the values in a mask; `modified` makes a changed file be read anew.

    Raises:
        UnusableMask: If it is in colour, or has more values than there can be classes.
        UnreadablePicture: If its content cannot be taken for a picture.
        DataError: If the file itself cannot be read.
    """
    with picture_file(path, most_pixels) as file:
        check_lossless(path, file.format or "")
        found = np.flatnonzero(_seen(_values_in(path, file))).tolist()
    if len(found) > MOST_FOUND:
        raise UnusableMask(
            f"{printable(path)}: has {len(found)} values, too many to be classes; is it a mask, "
            "and not resized or smoothed? Otherwise name them in data.classes"
        )
    return frozenset(found)


def _keys(pixels: Array) -> Array:
    """Return values (H, W) as they are, and colours (H, W, 3) each as one number."""
    if pixels.ndim == 2:
        return pixels
    red, green, blue = (pixels[..., band].astype(np.uint32) for band in range(3))
    keys: Array = red << 16 | green << 8 | blue
    return keys


def _values_in(path: Path, file: Image.Image, white: int = WHITE) -> Array:
    """Return the values of a mask, (H, W), those of a palette its indices."""
    _check_opaque(path, file)
    if file.mode == "1":
        return np.asarray(file).astype(np.uint8) * np.uint8(white)
    if file.mode == "P" and file.format == "GIF":  # which knows no grey, only palettes of it
        bands = [np.asarray(band) for band in file.convert("RGB").split()]
        return bands[0] if _are_equal(bands) else np.asarray(file)
    if file.mode in ("L", "P") or file.mode.startswith("I;16"):
        return np.asarray(file)
    if file.mode == "I":
        pixels = np.asarray(file)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise UnusableMask(
                f"{printable(path)}: its values run from {pixels.min()} to {pixels.max()}, and "
                "those of masks from 0 to 65535"
            )
        return pixels
    if file.mode not in ("LA", "RGB", "RGBA", "PA"):
        raise UnusableMask(
            f"{printable(path)}: its pixels are of mode {file.mode}; masks are grey, of a palette, "
            "or in colour (RGB)"
        )
    if file.mode in ("LA", "PA"):
        return np.asarray(file.getchannel(0))
    bands = [np.asarray(file.getchannel(band)) for band in range(3)]
    if not _are_equal(bands):
        raise UnusableMask(
            f"{printable(path)}: is in colour ({_most_common(file)}), and masks have values here; "
            "give each class its colour, as data.classes={cell: '#ff0000'}, or save it with its "
            "palette or as grey"
        )
    return bands[0]


def _are_equal(bands: Sequence[Array]) -> bool:
    return all(np.array_equal(bands[0], band) for band in bands[1:])


def _colours_in(path: Path, file: Image.Image) -> Array:
    """Return the colours of a mask, (H, W, 3) uint8, those of a palette its entries."""
    _check_opaque(path, file)
    if file.mode not in ("1", "L", "P", "LA", "PA", "RGB", "RGBA"):
        raise UnusableMask(
            f"{printable(path)}: its pixels are of mode {file.mode}; where classes have colours, "
            "masks are 8-bit, in colour (RGB), grey or of a palette"
        )
    return np.asarray(file.convert("RGB"))


def _check_opaque(path: Path, file: Image.Image) -> None:
    if file.mode in ("LA", "RGBA", "PA") and file.getchannel("A").getextrema()[0] != WHITE:
        raise UnusableMask(
            f"{printable(path)}: is transparent in places, and nobody says what that means; "
            "flatten it, with a value or colour of its own"
        )


def _seen(pixels: Array) -> Array:
    """Return which values there are, (65536,) bool."""
    seen = np.zeros(1 << 16, bool)
    for _, band in _bands(pixels):
        seen[band] = True
    return seen


def _bands(pixels: Array) -> Iterator[tuple[int, Array]]:
    """Yield pixels in bands of rows, each with its first row."""
    rows = max(1, _AT_ONCE // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        yield top, pixels[top : top + rows]


def _plain(pixel: Any) -> Value:
    if np.ndim(pixel) == 0:
        return int(pixel)
    red, green, blue = (int(part) for part in pixel)
    return red, green, blue


def _most_common(file: Image.Image) -> str:
    """Return the colours that are there most, in words."""
    counted = file.convert("RGB").getcolors(file.width * file.height) or []
    colours = [colour for _, colour in sorted(counted, reverse=True)]
    more = f" and {len(colours) - _SHOWN} more" if len(colours) > _SHOWN else ""
    return ", ".join(written(colour) for colour in colours[:_SHOWN]) + more  # type: ignore[arg-type]
