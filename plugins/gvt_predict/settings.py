"""The section `predict` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gvt import Section
from gvt.config import BatchSize

MAX_TILE = 1 << 14
"""Largest side of a tile in pixels."""


class PredictConfig(Section):
    """Predictions for image files.

    Attributes:
        tile: Longer side in pixels of the tiles in which larger images are predicted, if pixels are
            classified or objects are detected. `auto` is 512, or 1024 if only objects are detected,
            for images that keep their own size; images that are resized to a fixed size are not
            tiled. For objects in such images, a number cuts tiles of that many pixels of the
            original image, in the proportions of the fixed size, and resizes each tile.
        overlap: Least overlap of adjacent tiles as a share of a tile's side. Pixel scores are
            blended over it; objects no larger than the overlap are whole in one of the tiles.
        flips: Whether to average the scores over flipped copies: those of pixels over both
            directions, those of an image's class over left and right. Several labels of an image,
            and objects, are predicted from the original alone.
        batch_size: Number of tiles predicted at a time.
        score: Least score of objects that are drawn and listed; `predictions.json` has all objects.
    """

    tile: Annotated[int, Field(ge=16, le=MAX_TILE)] | Literal["auto"] = "auto"
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    flips: bool = False
    batch_size: BatchSize = 4
    score: Annotated[float, Field(ge=0, le=1)] = 0.5
