"""Overlapping tiles of a picture, and weights that fade each into its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCORES_BYTES = 1 << 27
"""Of the scores that are gathered of a picture at a time, unless a row of tiles needs more."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels; `bottom` and `right` are the first ones below and beside."""

    top: int
    left: int
    bottom: int
    right: int


Scores = dict[str, Tensor]
"""By head the scores of pixels, (C, H, W) float32."""


@dataclass(frozen=True)
class Side:
    """The tiles along one side of a picture.

    Attributes:
        length: The picture's side.
        tile: That of a tile.
        starts: Where each begins, in their order; they are spread evenly.
        weights: (tiles, tile), of each pixel of a tile; those of all tiles at a pixel sum to 1.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    weights: Tensor

    @classmethod
    def of(cls, length: int, tile: int, overlap: float) -> Side:
        """Return the tiles that cover a side, with at least this share in common."""
        tile = min(tile, length)
        stride = max(1, tile - math.ceil(tile * overlap))
        gaps = math.ceil((length - tile) / stride)
        starts = tuple(round(i * (length - tile) / max(1, gaps)) for i in range(gaps + 1))
        # Hann's window; at the picture's edge, where there is no neighbour, it is made 1 again.
        places = torch.arange(tile, dtype=torch.float64) + 0.5
        window = torch.sin(torch.pi * places / tile).square()
        total = torch.zeros(length, dtype=torch.float64)
        for start in starts:
            total[start : start + tile] += window
        weights = torch.stack([window / total[start : start + tile] for start in starts])
        return cls(length, tile, starts, weights.float())


def grid(size: tuple[int, int], tile: tuple[int, int], overlap: float) -> list[Box]:
    """Return the tiles of a picture row by row.

    Args:
        size: The picture's (H, W).
        tile: (H, W) of a tile; a picture that is smaller is one of its own size.
        overlap: Share of a tile's side that two neighbours have in common at least.
    """
    down, across = (Side.of(*sides, overlap) for sides in zip(size, tile, strict=True))
    return [_box(y, x, down.tile, across.tile) for y in down.starts for x in across.starts]


def blended(
    size: tuple[int, int],
    tile: int,
    overlap: float,
    channels: int,
    batch_size: int,
    predict: Callable[[Sequence[Box]], Sequence[Scores]],
) -> Iterator[tuple[Box, Scores]]:
    """Yield the scores of a picture's pixels in parts, each pixel once.

    Each score is the mean of those of the tiles that the pixel lies in, weighted by a window that
    falls off towards a tile's edges. Memory does not grow with the picture: scores are gathered in
    vertical stripes, each as high as a tile, that move down the picture. Tiles on the border of
    two stripes are predicted twice. What is yielded is overwritten by what follows.

    Args:
        size: The picture's (H, W).
        tile: Side of a tile; a picture that is smaller is one of its own size.
        overlap: Share of a tile's side that two neighbours have in common at least.
        channels: Scores of a pixel, of all heads together.
        batch_size: Tiles to be predicted at once.
        predict: From tiles, all of one size, to the scores of each.
    """
    down, across = (Side.of(length, tile, overlap) for length in size)
    widest = SCORES_BYTES // (4 * channels * down.tile)
    for left, right in _stripes(across, widest):
        columns = [n for n, x in enumerate(across.starts) if x < right and x + across.tile > left]
        gathered: Scores = {}
        for row, top in enumerate(down.starts):
            for first in range(0, len(columns), batch_size):
                group = columns[first : first + batch_size]
                boxes = [_box(top, across.starts[n], down.tile, across.tile) for n in group]
                for column, box, scores in zip(group, boxes, predict(boxes), strict=True):
                    weights = down.weights[row][:, None] * across.weights[column]
                    _add(gathered, scores, weights, box, left, right)
            following = (*down.starts, down.length)[row + 1]
            yield (
                Box(top, left, following, right),
                {head: scores[:, : following - top] for head, scores in gathered.items()},
            )
            for values in gathered.values():
                _move_up(values, following - top)


def _stripes(across: Side, widest: int) -> Iterator[tuple[int, int]]:
    """Yield where stripes begin and end: at the starts of tiles, as many as fit the width."""
    left = 0
    ends = (*across.starts[1:], across.length)
    for start, end in zip(across.starts, ends, strict=True):
        if end - left > widest and start > left:
            yield left, start
            left = start
    yield left, across.length


def _box(top: int, left: int, height: int, width: int) -> Box:
    return Box(top, left, top + height, left + width)


def _add(
    gathered: Scores, scores: Scores, weights: Tensor, box: Box, left: int, right: int
) -> None:
    """Add a tile's scores, as far as they lie in a stripe, to what is gathered there."""
    first, last = max(box.left, left), min(box.right, right)
    inside = slice(first - box.left, last - box.left)
    for head, values in scores.items():
        if head not in gathered:
            gathered[head] = values.new_zeros(len(values), values.shape[1], right - left)
        place = gathered[head][:, :, first - left : last - left]
        place.addcmul_(values[:, :, inside], weights[:, inside].to(values.device))


def _move_up(scores: Tensor, rows: int) -> None:
    """Move what is gathered up by so many rows, and begin with nothing below it."""
    kept = scores.shape[1] - rows
    for row in range(0, kept, rows):  # by parts that do not overlap, so that none is a copy
        count = min(rows, kept - row)
        scores[:, row : row + count] = scores[:, row + rows : row + rows + count]
    scores[:, max(0, kept) :] = 0
