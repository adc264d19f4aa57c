"""Counts of the values in masks, and detection of noise at edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

Value = int | tuple[int, int, int]
"""The value of a pixel, or its colour as red, green and blue."""

AT_ONCE = 1 << 22
"""Pixels processed at a time, which bounds the memory that a huge mask needs."""

_SHOWN = 8
"""Values listed in a message."""

_THIN = 0.05
"""A value is thin if a smaller share of its pixels is inside."""

_LEAST = 3
"""Least number of thin values in noise; one fewer if all of them are near a main value."""

_POOLED, _SINGLE = 0.1, 0.2
"""Least share of noise among the pixels at edges: in all masks together, and in one mask."""

_APART, _NEAR = 16, 8
"""If main values are at least this far apart, a thin value within this distance is noise."""


@dataclass(frozen=True)
class Tally:
    """Pixel counts of each value, or colour, of masks.

    A pixel is inside if its 3x3 neighbourhood has one value, and at an edge otherwise. It is
    between if its value is strictly between the least and the largest of its neighbourhood.

    Attributes:
        counts: Number of pixels of each value.
        edge: Number of its pixels at an edge.
        between: Number of its pixels between other values.
    """

    counts: Mapping[Value, int] = field(default_factory=dict)
    edge: Mapping[Value, int] = field(default_factory=dict)
    between: Mapping[Value, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of pixels of all values."""
        return sum(self.counts.values())

    @property
    def thin(self) -> frozenset[Value]:
        """Values that have almost no pixels inside."""
        return frozenset(v for v, n in self.counts.items() if self.edge.get(v, 0) > (1 - _THIN) * n)

    def __str__(self) -> str:
        """Return the most frequent values, each with its share of the pixels."""
        return self.listed(self.total)

    def listed(self, total: int, most: int = _SHOWN) -> str:
        """Return the most frequent values, each with its share of `total` pixels."""
        frequent = sorted(self.counts, key=self.counts.__getitem__, reverse=True)[:most]
        values = sorted(frequent, key=lambda v: v if isinstance(v, tuple) else (v,))
        more = len(self.counts) - len(values)
        text = ", ".join(f"{written(v)} ({percent(self.counts[v], total)})" for v in values)
        return f"{text} and {more} more" if more else text

    def noise(self, within: Tally | None = None) -> frozenset[Value]:
        """Return the values that look like noise at edges; empty if there is no noise.

        Interpolation puts values between two others along every edge, and JPEG scatters values
        around them. A class has pixels inside in some mask, or is one of few that never have.

        Args:
            within: The tally of all masks, if this is the tally of one of them.
        """
        thin = (within or self).thin & self.counts.keys()
        main = self.counts.keys() - thin
        if 2 * sum(self.counts[value] for value in main) < self.total:
            return frozenset()
        near = frozenset(v for v in thin if isinstance(v, int) and _is_near(v, main))
        if near == thin and len(near) >= _LEAST - 1:
            return near
        crossed = [value for value in thin if self.between.get(value, 0)]
        share = sum(self.between[value] for value in crossed) / max(1, sum(self.edge.values()))
        enough = share >= (_POOLED if within is None else _SINGLE)
        return thin if enough and len(crossed) >= _LEAST else frozenset()


def _is_near(value: int, main: Collection[Value]) -> bool:
    """Return whether a value is near one of the main values, and these are far apart."""
    values = sorted(v for v in main if isinstance(v, int))
    apart = min((b - a for a, b in pairwise(values)), default=0)
    return apart >= _APART and min(abs(value - v) for v in values) <= _NEAR


def tallied(pixels: Array, looks: Sequence[Array]) -> Tally:
    """Count the pixels of one mask.

    Args:
        pixels: Values, (H, W) from 0 to 65535, or colours, (H, W, 3) uint8.
        looks: Arrays in which neighbours are compared, each (H, W): the values, the bands of the
            colours, or both for a palette.
    """
    if pixels.ndim == 3:
        colours, numbers = np.unique(keys_of(pixels), return_inverse=True)
        numbers = numbers.reshape(pixels.shape[:2])
        names: list[Value] = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in colours]
    else:
        numbers, names = pixels, list(range(int(pixels.max()) + 1))
    sums = np.zeros((3, len(names)), np.int64)
    for top, band in bands(numbers):
        edge, between = np.zeros(band.shape, bool), np.zeros(band.shape, bool)
        for look in looks:
            low, high = _extremes(look, top, top + len(band))
            middle = look[top : top + len(band)]
            edge |= low != high
            between |= (low < middle) & (middle < high)
        groups = (band.ravel(), band[edge], band[between])
        sums += np.stack([np.bincount(group, minlength=len(names)) for group in groups])
    return Tally(*({names[n]: int(row[n]) for n in row.nonzero()[0]} for row in sums))


def added(tallies: Sequence[Tally]) -> Tally:
    """Return the sum of tallies."""
    counts, edge, between = Counter[Value](), Counter[Value](), Counter[Value]()
    for tally in tallies:
        counts.update(tally.counts)
        edge.update(tally.edge)
        between.update(tally.between)
    return Tally(counts, edge, between)


def written(value: Value) -> str:
    """Return a value as a number, or a colour as `#rrggbb`."""
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)


def percent(part: int, whole: int) -> str:
    """Return a share in per cent; small shares become `< 0.1 %`."""
    return "< 0.1 %" if part < whole / 1000 else f"{100 * part / whole:.1f} %"


def keys_of(pixels: Array) -> Array:
    """Return values (H, W) unchanged, and colours (H, W, 3) as one number each."""
    if pixels.ndim == 2:
        return pixels
    red, green, blue = (pixels[..., band].astype(np.uint32) for band in range(3))
    keys: Array = red << 16 | green << 8 | blue
    return keys


def bands(pixels: Array) -> Iterator[tuple[int, Array]]:
    """Yield the pixels in bands of rows, each with the index of its first row."""
    rows = max(1, AT_ONCE // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        yield top, pixels[top : top + rows]


def _extremes(look: Array, top: int, bottom: int) -> tuple[Array, Array]:
    """Return the minimum and maximum in the 3x3 neighbourhood of each pixel of a band."""
    rows = np.pad(look[max(0, top - 1) : bottom + 1], 1, mode="edge")
    if top > 0:  # the padding is not needed: the row above exists
        rows = rows[1:]
    if bottom < len(look):
        rows = rows[:-1]
    low, high = (
        extreme(extreme(rows[:-2], rows[1:-1]), rows[2:]) for extreme in (np.minimum, np.maximum)
    )
    return (
        np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:]),
        np.maximum(np.maximum(high[:, :-2], high[:, 1:-1]), high[:, 2:]),
    )
