"""Overlapping tiles of an image, and weights that blend adjacent tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCORES_BYTES = 1 << 27
"""Largest size in bytes of the scores held at a time, unless a row of tiles needs more."""


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels; `bottom` and `right` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


Scores = dict[str, Tensor]
"""Scores of pixels by head, (C, H, W) float32."""


@dataclass(frozen=True)
class Side:
    """The tiles along one side of an image.

    Attributes:
        length: Side of the image.
        tile: Side of a tile.
        starts: First pixel of each tile, evenly spaced in ascending order.
        weights: Weight of each pixel in each tile, (tiles, tile); at each pixel of the image the
            weights of all tiles sum to 1.
    """

    length: int
    tile: int
    starts: tuple[int, ...]
    weights: Tensor

    @classmethod
    def of(cls, length: int, tile: int, overlap: float) -> Side:
        """Return the tiles that cover a side, with at least this share of overlap."""
        tile = min(tile, length)
        stride = max(1, tile - math.ceil(tile * overlap))
        gaps = math.ceil((length - tile) / stride)
        starts = tuple(round(i * (length - tile) / max(1, gaps)) for i in range(gaps + 1))
        # A Hann window; the normalisation makes it 1 at the edges of the image.
        places = torch.arange(tile, dtype=torch.float64) + 0.5
        window = torch.sin(torch.pi * places / tile).square()
        total = torch.zeros(length, dtype=torch.float64)
        for start in starts:
            total[start : start + tile] += window
        weights = torch.stack([window / total[start : start + tile] for start in starts])
        return cls(length, tile, starts, weights.float())


def grid(size: tuple[int, int], tile: tuple[int, int], overlap: float) -> list[Box]:
    """Return the tiles of an image row by row.

    Args:
        size: (H, W) of the image.
        tile: (H, W) of a tile; a smaller image is one tile of its own size.
        overlap: Least overlap of adjacent tiles as a share of a tile's side.
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
    """Yield the pixel scores of an image in parts, each pixel once.

    Each score is the mean over the tiles with this pixel, weighted by a window that falls off
    towards the edges of a tile. Memory does not grow with the image: scores are accumulated in
    vertical stripes with the height of a tile, which move down the image. Tiles on the border of
    two stripes are predicted twice. Yielded tensors are overwritten by the next step.

    Args:
        size: (H, W) of the image.
        tile: Side of a tile; a smaller image is one tile of its own size.
        overlap: Least overlap of adjacent tiles as a share of a tile's side.
        channels: Number of scores of a pixel, over all heads.
        batch_size: Number of tiles predicted at a time.
        predict: Function that returns the scores of each of several tiles of one size.
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
    """Yield the first and end column of stripes of at most `widest` columns, if tiles allow."""
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
    """Add a tile's weighted scores to a stripe, where the two overlap."""
    first, last = max(box.left, left), min(box.right, right)
    inside = slice(first - box.left, last - box.left)
    for head, values in scores.items():
        if head not in gathered:
            gathered[head] = values.new_zeros(len(values), values.shape[1], right - left)
        place = gathered[head][:, :, first - left : last - left]
        place.addcmul_(values[:, :, inside], weights[:, inside].to(values.device))


def _move_up(scores: Tensor, rows: int) -> None:
    """Move accumulated scores up by some rows, and fill the rows below with zeros."""
    rest = scores.shape[1] - rows
    for row in range(0, rest, rows):  # in parts that do not overlap, which need no copy
        count = min(rows, rest - row)
        scores[:, row : row + count] = scores[:, row + rows : row + rows + count]
    scores[:, max(0, rest) :] = 0
