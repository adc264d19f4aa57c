"""How a data set turns picture files into images, so that new ones are read the same way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gvt.batch import Record
from gvt.errors import CheckpointError
from gvt.vision.pictures.fitting import Filter, Fit, fitted
from gvt.vision.pictures.reading import Picture, read_picture
from gvt.vision.pictures.survey import notes_on

MOST_PIXELS = 1 << 28
"""Pixels of the largest size that pictures are brought to: 16,384 x 16,384."""


@dataclass(frozen=True)
class PictureReader:
    """From a picture file of any kind to an image of one kind.

    A data set that reads files has one, as its attribute `reader`. It is kept in checkpoints, and
    `gvt predict` reads people's pictures with it.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: (H, W) in pixels; each picture keeps its own unless given.
        fit: How a picture meets a size of another shape: `crop`, `pad`, `stretch`, or `within`,
            which leaves pictures of several sizes; see `gvt.vision.pictures.fitting.fitted`.
        background: Red, green and blue, 0 to 255, behind what is transparent.
        filter: How pictures are resampled.
        share: Of each side of what `crop` takes, so much is left around the centre; 0.875 is what
            ImageNet's networks are usually evaluated with.
        white: The value that is white in files of more than 8 bits a value, such as 4095 for a
            camera of 12 bits; the largest of the file's type unless given. See
            `gvt.vision.pictures.reading.read_picture`.
        page: Which picture of a TIFF, GIF or WebP that holds several, from 1. The first unless
            given; given, a file without this page cannot be read.

    Raises:
        ValueError: If a value is impossible.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    background: tuple[int, int, int] = (255, 255, 255)
    filter: Filter = "bilinear"
    share: float = 1.0
    white: float | None = None
    page: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit {self.fit!r}: {', '.join(get_args(Fit))}")
        if self.filter not in get_args(Filter):
            raise ValueError(f"filter {self.filter!r}: {', '.join(get_args(Filter))}")
        if self.channels not in (1, 3):
            raise ValueError(f"channels {self.channels}: 1 for grey, 3 for colour")
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size {list(self.size)}: at least one pixel a side")
        if self.size is not None and math.prod(self.size) > MOST_PIXELS:
            raise ValueError(f"size {list(self.size)}: at most {MOST_PIXELS:,} pixels, 16384x16384")
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise ValueError(f"background {list(self.background)}: red, green, blue from 0 to 255")
        if not 0 < self.share <= 1:
            raise ValueError(f"share {self.share}: above 0, at most 1")
        if self.white is not None and not 0 < self.white < math.inf:
            raise ValueError(f"white {self.white}: a number above 0")
        if self.page is not None and self.page < 1:
            raise ValueError(f"page {self.page}: pages are counted from 1")

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of every image, None where pictures differ in size."""
        if self.size is None or self.fit == "within":
            return None
        return (self.channels, *self.size)

    def open(self, path: Path, most_pixels: int | None = None) -> Picture:
        """Return the picture in a file in its own size, upright, opaque, grey or colour.

        Args:
            path: The file.
            most_pixels: How many pixels it may have; Pillow's limit unless given.

        Raises:
            UnreadablePicture: If its content cannot be taken for a picture.
            DataError: If the file itself cannot be read.
        """
        return read_picture(
            path, self.channels, self.background, most_pixels, white=self.white, page=self.page
        )

    def fitted(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Return a picture as (C, H, W) uint8, fitted to the reader's size, and how it got there.

        The second is a (3, 3) float64 matrix from the picture's pixels to the image's.
        """
        image, geometry = fitted(image, self.size, self.fit, self.filter, self.share)
        return pixels_of(image), geometry

    def read(self, path: Path) -> tuple[Tensor, Record]:
        """Return the image in a file, (C, H, W) uint8, and its origin.

        Raises:
            UnreadablePicture: If its content cannot be taken for a picture.
            DataError: If the file itself cannot be read.
        """
        picture = self.open(path)
        image, geometry = self.fitted(picture.image)
        size = (picture.image.height, picture.image.width)
        return image, Record(str(path), size, geometry, picture.mode)

    def notes_on(self, files: Sequence[Path], *, every: bool = False) -> list[str]:
        """Return notes on what is easily overlooked in files that it reads, one line each.

        See `gvt.vision.pictures.survey.notes_on`.

        Args:
            files: Image files.
            every: Whether all are checked, and not a sample spread over the list.
        """
        return notes_on(files, self.page, self.white, every=every)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PictureReader:
        """Return the reader that a checkpoint holds.

        Raises:
            CheckpointError: If it is none that this version knows.
        """
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items()
        }
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"how its pictures were read is not known: {error}") from error

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def pixels_of(image: Image.Image) -> Tensor:
    """Return a Pillow image of 8-bit bands as (C, H, W) uint8."""
    return torch.from_numpy(np.stack([np.asarray(band) for band in image.split()]))
