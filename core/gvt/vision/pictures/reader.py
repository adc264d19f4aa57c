"""How a data set reads image files, so that new ones are read the same way."""

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
"""Pixels of the largest size of images: 16,384 x 16,384."""


@dataclass(frozen=True)
class PictureReader:
    """Reads image files of any kind as images of one kind.

    A data set that reads files has one, as its attribute `reader`. Checkpoints keep it, and
    `gvt predict` reads images with it.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: (H, W) in pixels; by default each image keeps its size.
        fit: How an image is fitted to a size of another shape: `crop`, `pad`, `stretch`, or
            `within`, which gives images of several sizes; see
            `gvt.vision.pictures.fitting.fitted`.
        background: Red, green and blue, 0 to 255, behind transparent pixels.
        filter: The resampling filter.
        share: Fraction of each side of the part that `crop` takes, around its centre; 0.875 is
            common for evaluating models on ImageNet.
        white: The value that is white in files of more than 8 bits a value, such as 4095 for a
            camera of 12 bits; the largest of the type of the file by default. See
            `gvt.vision.pictures.reading.read_picture`.
        page: Number of the image in a TIFF, GIF or WebP of several, from 1; the first by default.
            If it is given, a file without this page cannot be read.

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
        size = (1, 1) if self.size is None else self.size
        if min(size) < 1:
            raise ValueError(f"size {list(size)}: at least one pixel a side")
        if math.prod(size) > MOST_PIXELS:
            raise ValueError(f"size {list(size)}: at most {MOST_PIXELS:,} pixels, 16384x16384")
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
        """(C, H, W) of every image, None if images differ in size."""
        return None if self.size is None or self.fit == "within" else (self.channels, *self.size)

    def open(self, path: Path, most_pixels: int | None = None) -> Picture:
        """Return the image in a file in its own size, upright, opaque, grey or colour.

        Args:
            path: The file.
            most_pixels: Largest number of pixels; Pillow's limit by default.

        Raises:
            UnreadablePicture: If its content cannot be read as an image.
            DataError: If the file cannot be read.
        """
        return read_picture(
            path, self.channels, self.background, most_pixels, white=self.white, page=self.page
        )

    def fitted(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Return an image as (C, H, W) uint8 in the reader's size, and the matrix to its pixels.

        The matrix, (3, 3) float64, maps pixels of the original image to those of the result.
        """
        image, geometry = fitted(image, self.size, self.fit, self.filter, self.share)
        return pixels_of(image), geometry

    def read(self, path: Path) -> tuple[Tensor, Record]:
        """Return the image in a file, (C, H, W) uint8, and its origin.

        Raises:
            UnreadablePicture: If its content cannot be read as an image.
            DataError: If the file cannot be read.
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
            CheckpointError: If this version cannot read it.
        """
        values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"how its pictures were read is not known: {error}") from error

    def document(self) -> dict[str, Any]:
        """Return the reader as plain data."""
        return asdict(self)


def pixels_of(image: Image.Image) -> Tensor:
    """Return a Pillow image of 8-bit bands as (C, H, W) uint8."""
    return torch.from_numpy(np.stack([np.asarray(band) for band in image.split()]))
