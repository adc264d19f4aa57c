"""Arrange images on a sheet, and shorten texts for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2.functional import pil_to_tensor

from gvt.data.image_fields import sheet
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
    """Return RGB images of one size as one image, in rows with lines around them."""
    if len(tiles) == 1:
        return ImageOps.expand(tiles[0], PADDING, (128, 128, 128))
    return sheet(torch.stack([pil_to_tensor(tile) for tile in tiles]), columns)
