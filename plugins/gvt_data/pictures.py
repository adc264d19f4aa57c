"""Parameters that data sets of picture files have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PositiveFloat, PositiveInt

from gvt import PictureReader
from gvt.vision.pictures import Fit


@dataclass(frozen=True)
class Pictures:
    """How the pictures of a data set are read.

    Args:
        size: Height and width in pixels of all images, or both in one number; each picture keeps
            its own unless given.
        fit: How a picture meets a size of another shape: `crop`, `pad`, `stretch` or `within`.
        channels: 1 for grey, 3 for colour.
        white: The value that is white in files of more than 8 bits a value, where that is less
            than their largest one: 4095 for a camera of 12 bits.
        page: Which picture of a TIFF, GIF or WebP file that holds several, from 1; the first
            unless given.
    """

    size: int | tuple[int, int] | None = None
    fit: Fit = "crop"
    channels: Literal[1, 3] = 3
    white: PositiveFloat | None = None
    page: PositiveInt | None = None

    def reader(self, **more: Any) -> PictureReader:
        """Return what reads them, with more of the reader's own settings.

        Raises:
            ValueError: If a value is impossible.
        """
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return PictureReader(
            self.channels, size, self.fit, white=self.white, page=self.page, **more
        )
