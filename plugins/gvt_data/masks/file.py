"""Reading masks: the class of each pixel, from its value or colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image, ImageOps

from gvt.printable import printable
from gvt.vision.pictures import UnreadablePicture, picture_file

from .tally import Array, Tally, Value, bands, keys_of, percent, tallied, written
from .values import UNKNOWN, WHITE, MaskValues, of_white

LOSSY = ("JPEG", "MPO", "WEBP")
"""Lossy formats, by Pillow's names."""

MOST_FOUND = 64
"""Largest number of values that become classes when no classes are given."""


class UnusableMask(UnreadablePicture):
    """A mask has no usable classes, or does not fit its image."""


@dataclass(frozen=True)
class MaskReader:
    """Reads the class index of each pixel from mask files.

    Attributes:
        values: Class index of each value or colour.
        most_pixels: Largest number of pixels of a mask; Pillow's limit by default.
        page: Page of a multi-page file, from 1; the first by default.
    """

    values: MaskValues
    most_pixels: int | None = None
    page: int | None = None

    def read(self, path: Path) -> Array:
        """Return the class index of each pixel, (H, W) uint8, with EXIF orientation applied.

        Raises:
            UnusableMask: If a value is not a class, or the file has no usable values.
            UnreadablePicture: If the content is not a readable image.
            DataError: If the file cannot be read, or has the value 255 without a meaning.
        """
        with picture_file(path, self.most_pixels, self.page) as file:
            check_lossless(path, file.format or "")
            ImageOps.exif_transpose(file, in_place=True)
            if self.values.are_colours:
                pixels = _colours_in(path, file)
            else:  # in a one-bit mask, white is the second value: 1 or 255
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
        """Lookup table from every possible value or colour to its class index."""
        table = np.full(1 << (24 if self.values.are_colours else 16), UNKNOWN, np.uint8)
        for value, number in self.values.numbers.items():
            key = value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]
            table[key] = number
        return table

    def _refuse(self, path: Path, file: Image.Image, pixels: Array, x: int, y: int) -> NoReturn:
        """Raise the error for a mask whose value at (x, y) is not a class."""
        tally = tallied(pixels, _compared_bands(pixels, file))
        if noise := tally.noise():
            raise UnusableMask(of_noise(f"{printable(path)}: looks", tally, noise))
        if WHITE in tally.counts and WHITE not in self.values.numbers:
            # A setting is missing, so on_error=skip must not leave the file out.
            raise of_white(f"{printable(path)}: has", tally)
        pixel = pixels[y, x]
        is_value = pixels.ndim == 2
        value = written(int(pixel) if is_value else (int(pixel[0]), int(pixel[1]), int(pixel[2])))
        raise UnusableMask(
            f"{printable(path)}: {value} at x={x}, y={y} is not a class; the masks have "
            f"{self.values}; name it in data.classes, or give data.ignore={value}"
        )


def check_lossless(path: Path, format: str) -> None:
    """Check that a mask's file format is lossless.

    Raises:
        UnusableMask: If it is not.
    """
    if format in LOSSY:
        raise UnusableMask(
            f"{printable(path)}: {format} is lossy and changes values; save masks as PNG or TIFF"
        )


@lru_cache(maxsize=1 << 16)
def tally_of(
    path: Path,
    modified: int,
    most_pixels: int | None = None,
    white: int = WHITE,
    page: int | None = None,
) -> Tally:
    """Count the pixels of each value in a mask.

    Args:
        path: Mask file.
        modified: Modification time in any unit; a changed file is read again.
        most_pixels: Largest number of pixels; Pillow's limit by default.
        white: Value of white in a one-bit mask.
        page: Page of a multi-page file, from 1; the first by default.

    Raises:
        UnusableMask: If the mask is in colour, or has too many values to be classes.
        UnreadablePicture: If the content is not a readable image.
        DataError: If the file cannot be read.
    """
    with picture_file(path, most_pixels, page) as file:
        check_lossless(path, file.format or "")
        pixels = _values_in(path, file, white)
        tally = tallied(pixels, _compared_bands(pixels, file))
    if len(tally.counts) > MOST_FOUND:
        if noise := tally.noise():
            raise UnusableMask(of_noise(f"{printable(path)}: looks", tally, noise))
        raise UnusableMask(
            f"{printable(path)}: has {len(tally.counts)} values, too many to be classes; check "
            "that it is a mask, neither resized nor smoothed, or name the classes in data.classes"
        )
    return tally


def of_noise(what: str, tally: Tally, noise: Collection[Value]) -> str:
    """Return the message for noise at the edges in one mask, or in all masks."""
    main = Tally({value: n for value, n in tally.counts.items() if value not in noise})
    kind = "colours" if any(isinstance(value, tuple) for value in noise) else "values"
    share = percent(sum(tally.counts[value] for value in noise), tally.total)
    return (
        f"{what} resized with interpolation, smoothed, or once saved as JPEG: {len(noise)} {kind} "
        f"besides {main.listed(tally.total)} make up {share} of the pixels, all at edges; make the "
        "masks again from their source, with nearest-neighbour resizing and never as JPEG, or if "
        "these are classes, name all of them in data.classes={NAME: VALUE}"
    )


def _compared_bands(pixels: Array, file: Image.Image) -> list[Array]:
    """Return the arrays in which neighbouring pixels are compared, each (H, W).

    In a palette, noise lies between other values by its colour and not by its index.
    """
    bands = [pixels] if pixels.ndim == 2 else []
    if file.mode == "P" or not bands:
        bands += [np.asarray(band) for band in file.convert("RGB").split()]
    return bands


def _values_in(path: Path, file: Image.Image, white: int = WHITE) -> Array:
    """Return the values of a mask, (H, W); for a palette, its indices."""
    _check_opaque(path, file)
    if file.mode == "1":
        return np.asarray(file).astype(np.uint8) * np.uint8(white)
    if file.mode == "P" and file.format == "GIF":  # GIF stores grey as a palette of greys
        channels = [np.asarray(band) for band in file.convert("RGB").split()]
        return channels[0] if _are_equal(channels) else np.asarray(file)
    if file.mode in ("L", "P") or file.mode.startswith("I;16"):
        return np.asarray(file)
    if file.mode == "I":
        pixels = np.asarray(file)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise UnusableMask(
                f"{printable(path)}: has values from {pixels.min()} to {pixels.max()}; the values "
                "of masks are from 0 to 65535"
            )
        return pixels
    if file.mode not in ("LA", "RGB", "RGBA", "PA"):
        raise UnusableMask(
            f"{printable(path)}: has pixels of mode {file.mode}; save the mask as grey, with a "
            "palette, or in colour (RGB)"
        )
    if file.mode in ("LA", "PA"):
        return np.asarray(file.getchannel(0))
    channels = [np.asarray(file.getchannel(band)) for band in range(3)]
    if not _are_equal(channels):
        raise UnusableMask(_colour_message(path, np.stack(channels, -1), channels))
    return channels[0]


def _are_equal(channels: Sequence[Array]) -> bool:
    return all(np.array_equal(channels[0], channel) for channel in channels[1:])


def _colour_message(path: Path, pixels: Array, channels: Sequence[Array]) -> str:
    """Return the message for a mask in colour where values are expected."""
    tally = tallied(pixels, channels)
    if noise := tally.noise():
        return of_noise(f"{printable(path)}: is in colour, and looks", tally, noise)
    return (
        f"{printable(path)}: is in colour, {tally}, but the classes are values; give each class "
        "its colour, as data.classes={cell: '#ff0000'}, or save the mask as grey or with a palette"
    )


def _colours_in(path: Path, file: Image.Image) -> Array:
    """Return the colours of a mask, (H, W, 3) uint8; for a palette, its entries."""
    _check_opaque(path, file)
    if file.mode not in ("1", "L", "P", "LA", "PA", "RGB", "RGBA"):
        raise UnusableMask(
            f"{printable(path)}: has pixels of mode {file.mode}; if classes have colours, masks "
            "are 8-bit: in colour (RGB), grey or with a palette"
        )
    return np.asarray(file.convert("RGB"))


def _check_opaque(path: Path, file: Image.Image) -> None:
    if file.mode in ("LA", "RGBA", "PA") and file.getchannel("A").getextrema()[0] != WHITE:
        raise UnusableMask(
            f"{printable(path)}: is transparent in places, which has no class; flatten the mask, "
            "with a value or colour for these pixels"
        )
