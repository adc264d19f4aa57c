"""Reading a mask: the class of every pixel, from its value or its colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import Image, ImageOps

from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture, picture_file

from .tally import Array, Tally, Value, bands, keys_of, percent, tallied, written
from .values import UNKNOWN, WHITE, MaskValues, of_white

LOSSY = ("JPEG", "MPO", "WEBP")
"""Formats, as Pillow names them, that may change values."""

MOST_FOUND = 64
"""Values that are taken for classes where nobody says which there are."""


class UnusableMask(UnreadablePicture):
    """A mask does not say what the classes are, or does not fit its image."""


@dataclass(frozen=True)
class MaskReader:
    """From mask files to the number of each pixel's class.

    Attributes:
        values: What values or colours mean.
        most_pixels: How many a mask may have; Pillow's limit unless given.
        page: Which picture of a file that holds several, from 1; the first unless given.
    """

    values: MaskValues
    most_pixels: int | None = None
    page: int | None = None

    def read(self, path: Path) -> Array:
        """Return the number of each pixel, (H, W) uint8, of a mask turned as its EXIF data says.

        Raises:
            UnusableMask: If a value is no class, or they cannot be told from such a file.
            UnreadablePicture: If its content cannot be taken for a picture.
            DataError: If the file itself cannot be read, or it has 255 and nobody says what that
                is.
        """
        with picture_file(path, self.most_pixels, self.page) as file:
            check_lossless(path, file.format or "")
            ImageOps.exif_transpose(file, in_place=True)
            if self.values.are_colours:
                pixels = _colours_in(path, file)
            else:  # white of one bit is the second value, whichever that is
                pixels = _values_in(path, file, 1 if 1 in self.values.numbers else WHITE)
            numbers = np.empty(pixels.shape[:2], np.uint8)
            for top, band in bands(pixels):
                numbers[top : top + len(band)] = self._table[keys_of(band)]
            for top, band in bands(numbers):
                unknown = band == UNKNOWN
                if unknown.any():
                    y, x = np.unravel_index(int(unknown.argmax()), unknown.shape)
                    self._refuse(path, file, pixels, int(x), int(y) + top)
            return numbers

    @cached_property
    def _table(self) -> Array:
        """The number of each value or colour that there can be."""
        table = np.full(1 << (24 if self.values.are_colours else 16), UNKNOWN, np.uint8)
        for value, number in self.values.numbers.items():
            key = value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]
            table[key] = number
        return table

    def _refuse(self, path: Path, file: Image.Image, pixels: Array, x: int, y: int) -> NoReturn:
        """Raise what is wrong with a mask that has a value of no class at a place."""
        tally = tallied(pixels, _looks(pixels, file))
        if noise := tally.noise():
            raise UnusableMask(of_noise(f"{printable(path)}: looks", tally, noise))
        if WHITE in tally.counts and WHITE not in self.values.numbers:
            # A setting is missing, so that this is none of the files that on_error=skip leaves out.
            raise of_white(f"{printable(path)}: has", tally)
        value = written(_plain(pixels[y, x]))
        raise UnusableMask(
            f"{printable(path)}: {value} at x={x}, y={y} is no class of the masks, which have "
            f"{self.values}; name it in data.classes, or give data.ignore={value}"
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
def tally_of(
    path: Path,
    modified: int,
    most_pixels: int | None = None,
    white: int = WHITE,
    page: int | None = None,
) -> Tally:
    """Return how many pixels each value in a mask has.

    Args:
        path: The mask.
        modified: When it was, in any unit, so that a changed file is read anew.
        most_pixels: How many it may have; Pillow's limit unless given.
        white: The value that white of one bit stands for.
        page: Which picture of a file that holds several, from 1; the first unless given.

    Raises:
        UnusableMask: If it is in colour, or has more values than there can be classes.
        UnreadablePicture: If its content cannot be taken for a picture.
        DataError: If the file itself cannot be read.
    """
    with picture_file(path, most_pixels, page) as file:
        check_lossless(path, file.format or "")
        pixels = _values_in(path, file, white)
        tally = tallied(pixels, _looks(pixels, file))
    if len(tally.counts) > MOST_FOUND:
        if noise := tally.noise():
            raise UnusableMask(of_noise(f"{printable(path)}: looks", tally, noise))
        raise UnusableMask(
            f"{printable(path)}: has {len(tally.counts)} values, too many to be classes; is it a "
            "mask, and not resized or smoothed? Otherwise name them in data.classes"
        )
    return tally


def of_noise(what: str, tally: Tally, noise: Collection[Value]) -> str:
    """Return what to say of noise at the edges in a mask, or in all."""
    main = Tally({value: n for value, n in tally.counts.items() if value not in noise})
    kind = "colours" if any(isinstance(value, tuple) for value in noise) else "values"
    held = percent(sum(tally.counts[value] for value in noise), tally.total)
    return (
        f"{what} resized with interpolation, smoothed, or once saved as JPEG: {len(noise)} {kind} "
        f"beside {main.listed(tally.total)} hold {held} of the pixels, at the edges; make masks "
        "from their source again, resized by nearest pixels (never as JPEG), or if these are "
        "classes, name all in data.classes={NAME: VALUE}"
    )


def _looks(pixels: Array, file: Image.Image) -> list[Array]:
    """Return what is compared between the neighbours in a mask, each (H, W).

    Noise in a palette is between others by its colour, not its index.
    """
    looks = [pixels] if pixels.ndim == 2 else []
    if file.mode == "P" or not looks:
        looks += [np.asarray(band) for band in file.convert("RGB").split()]
    return looks


def _values_in(path: Path, file: Image.Image, white: int = WHITE) -> Array:
    """Return the values of a mask, (H, W), those of a palette its indices."""
    _check_opaque(path, file)
    if file.mode == "1":
        return np.asarray(file).astype(np.uint8) * np.uint8(white)
    if file.mode == "P" and file.format == "GIF":  # which knows no grey, only palettes of it
        parts = [np.asarray(band) for band in file.convert("RGB").split()]
        return parts[0] if _are_equal(parts) else np.asarray(file)
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
    parts = [np.asarray(file.getchannel(band)) for band in range(3)]
    if not _are_equal(parts):
        raise UnusableMask(_of_colour(path, np.stack(parts, -1), parts))
    return parts[0]


def _are_equal(parts: Sequence[Array]) -> bool:
    return all(np.array_equal(parts[0], part) for part in parts[1:])


def _of_colour(path: Path, pixels: Array, parts: Sequence[Array]) -> str:
    """Return what to say of a mask in colour where values are expected."""
    tally = tallied(pixels, parts)
    if noise := tally.noise():
        return of_noise(f"{printable(path)}: is in colour, and looks", tally, noise)
    return (
        f"{printable(path)}: is in colour, {tally}, and masks have values here; give each class "
        "its colour, as data.classes={cell: '#ff0000'}, or save it with its palette or as grey"
    )


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


def _plain(pixel: Any) -> Value:
    if np.ndim(pixel) == 0:
        return int(pixel)
    red, green, blue = (int(part) for part in pixel)
    return red, green, blue
