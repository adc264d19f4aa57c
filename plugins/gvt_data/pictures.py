"""Parameters shared by the data sets of image files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt

from gvt import PictureReader
from gvt.vision.pictures import Fit


@dataclass(frozen=True)
class Pictures:
    """How the images of a data set are read.

    Args:
        size: Height and width in pixels of all images, or one number for both; by default each
            image keeps its own size.
        fit: How an image is fitted to a size of another aspect ratio: `crop`, `pad`, `stretch` or
            `within`.
        channels: 1 for grey, 3 for colour.
        white: Value of white in files of more than 8 bits per value, if it is not the largest one,
            such as 4095 for a 12-bit camera.
        page: Number of the image in a TIFF, GIF or WebP file of several, from 1; the first by
            default.
    """

    size: int | tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Literal[1, 3] = 3
    white: PositiveFloat | None = None
    page: PositiveInt | None = None

    def reader(self, **more: Any) -> PictureReader:
        """Return the reader of the images, with additional settings.

        Raises:
            ValueError: If a value is invalid.
        """
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return PictureReader(
            self.channels, size, self.fit, white=self.white, page=self.page, **more
        )
