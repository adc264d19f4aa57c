"""Resampling of pixel scores from a canvas to the image that was fitted to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from gvt.geometry import canvas_points
from gvt_predict.tiles import SCORES_BYTES, Box, Scores


@dataclass(frozen=True)
class _Side:
    """The pixel centres of an image along one side of a canvas.

    Attributes:
        before: The canvas pixel at or before each centre.
        after: The next canvas pixel.
        share: The weight of `after` in the interpolation.
        inside: Whether the centre is on the canvas.
    """

    before: Tensor
    after: Tensor
    share: Tensor
    inside: Tensor

    @classmethod
    def of(cls, count: int, canvas: int, scale: float, shift: float) -> _Side:
        points = canvas_points(count, scale, shift)
        places = (points - 0.5).clamp(0, canvas - 1)
        before = places.floor().long()
        after = (before + 1).clamp(max=canvas - 1)
        inside = (points >= 0) & (points < canvas)
        return cls(before, after, (places - before).float(), inside)

    def of_part(self, start: int, end: int) -> _Side:
        parts = (self.before, self.after, self.share, self.inside)
        return _Side(*(part[start:end] for part in parts))

    def between(self, values: Tensor, dim: int) -> Tensor:
        """Return values (C, H, W), interpolated at the centres along one side."""
        device = values.device
        before = values.index_select(dim, self.before.to(device))
        after = values.index_select(dim, self.after.to(device))
        share = self.share.to(device)
        return before.lerp_(after, share[:, None] if dim == 1 else share)


def resampled(
    scores: Scores, geometry: Tensor, size: tuple[int, int]
) -> Iterator[tuple[Box, Scores, Tensor]]:
    """Yield the pixel scores of an image in parts, each pixel once, from those on a canvas.

    Scores are interpolated linearly between canvas pixels.

    Args:
        scores: Scores on the canvas, (C, h, w) by head.
        geometry: Transform (3, 3) from the image to the canvas, without rotation.
        size: (H, W) of the image.

    Yields:
        The part, its scores, and which of its pixels are on the canvas, (H, W) bool.
    """
    height, width = size
    canvas = next(iter(scores.values())).shape[-2:]
    rows = _Side.of(height, canvas[0], float(geometry[1, 1]), float(geometry[1, 2]))
    columns = _Side.of(width, canvas[1], float(geometry[0, 0]), float(geometry[0, 2]))
    channels = sum(map(len, scores.values()))
    # There are up to four copies of these values at a time.
    count = max(1, SCORES_BYTES // (16 * channels * max(width, canvas[1])))
    for top in range(0, height, count):
        bottom = min(top + count, height)
        part = rows.of_part(top, bottom)
        inside = part.inside[:, None] & columns.inside
        values = {h: columns.between(part.between(s, 1), 2) for h, s in scores.items()}
        yield Box(top, 0, bottom, width), values, inside
