"""Arrange images on a sheet, and shorten texts for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from gvt.printable import printable

PADDING = 2
LONGEST_NAME = 24
LONGEST_TITLE = 60
"""Characters of a name on an image, and of a title above it."""


def caption(name: object, longest: int = LONGEST_NAME) -> str:
    """Return a name as one short line that can be shown in any font.

    Characters that cannot be printed, such as line breaks, are escaped; a long name is cut.
    """
    shown = printable(str(name)[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def tiled(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """Return images of one size as one image, in rows with lines between them."""
    rows = math.ceil(len(tiles) / columns)
    width, height = tiles[0].width + PADDING, tiles[0].height + PADDING
    size = (columns * width + PADDING, rows * height + PADDING)
    sheet = Image.new("RGB", size, (128, 128, 128))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (PADDING + column * width, PADDING + row * height))
    return sheet
