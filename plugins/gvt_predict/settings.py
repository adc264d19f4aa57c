"""The section `predict` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gvt import Section
from gvt.config import BatchSize

MAX_TILE = 1 << 14
"""Pixels of a tile's side that a recipe can ask for at most."""


class PredictConfig(Section):
    """Predictions for image files.

    Attributes:
        tile: Longer side in pixels of the tiles that a larger picture is predicted in, where each
            pixel is classified or objects are found. `auto` is 512, and 1024 where objects alone
            are found, for pictures that keep their own size; those that are brought to a size are
            shown whole. Where they are, and objects are found, a number cuts tiles of so many of
            the picture's own pixels, in the size's proportions, and brings each to the size.
        overlap: Least share of a tile's side that it has in common with the next one, over which
            the one fades into the other; objects no larger than that are whole in one of them.
        flips: Also predict flipped copies and take the mean of the scores: of pixels over both
            directions, of a picture's class over left and right. Several labels of a picture, and
            objects, are those of the picture as it is.
        batch_size: Tiles predicted at once.
        score: Objects with a lower score are neither drawn nor told; `predictions.json` has them.
    """

    tile: Annotated[int, Field(ge=16, le=MAX_TILE)] | Literal["auto"] = "auto"
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.25
    flips: bool = False
    batch_size: BatchSize = 4
    score: Annotated[float, Field(ge=0, le=1)] = 0.5
