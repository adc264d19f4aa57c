"""Drawing one scene: digits of several sizes on a textured ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

GLYPH = 28
"""Pixels of a side of MNIST's digits."""

PAPER = GLYPH / 20
"""Size of the square with a digit on it, in sizes of the digit, which are 20 pixels in MNIST."""

_INK = 0.4
"""How opaque a pixel is at least that belongs to a digit."""

_TRIES = 20
_SMALLER = 0.8
"""The largest digit is larger than all others: they have at most this part of its size."""


@dataclass(frozen=True)
class Rules:
    """What all scenes of a set have in common.

    Attributes:
        size: (H, W) of the canvas in pixels.
        channels: 1 for grey, 3 for colour.
        objects: The fewest and the most digits of a scene.
        digit_size: The least and the greatest height of a digit in pixels.
        overlap: How much of the square around a digit that of another one may cover at most.
        rotation: The greatest angle in degrees that a digit is turned by, either way.
    """

    size: tuple[int, int]
    channels: int
    objects: tuple[int, int]
    digit_size: tuple[int, int]
    overlap: float
    rotation: float


@dataclass(frozen=True)
class Placed:
    """One digit of a scene: which of MNIST, its paper's corner and side, and its angle."""

    number: int
    top: int
    left: int
    side: int
    angle: float


def planned(random: np.random.Generator, rules: Rules, digits: int) -> list[Placed]:
    """Return where a scene's digits stand, those in front last; the largest is in front.

    A digit that finds no room in 20 tries is left out, the first one never.

    Args:
        random: Where the choice comes from.
        rules: What all scenes have in common.
        digits: How many there are to choose from.
    """
    return list(_placed(random, rules, digits))[::-1]


def largest(random: np.random.Generator, rules: Rules, digits: int) -> int:
    """Return the number of the digit that `planned` has in front, without looking for the rest."""
    return next(_placed(random, rules, digits)).number


def _placed(random: np.random.Generator, rules: Rules, digits: int) -> Iterator[Placed]:
    """Yield a scene's digits, the largest first."""
    height, width = rules.size
    least, greatest = rules.digit_size
    count = int(random.integers(rules.objects[0], rules.objects[1] + 1))
    sizes = np.sort(random.integers(least, greatest + 1, count))[::-1]
    sizes[1:] = np.maximum(np.minimum(sizes[1:], int(_SMALLER * sizes[0])), least)
    found: list[Placed] = []
    for size in sizes.tolist():
        side = int(PAPER * size)
        for _ in range(_TRIES):
            top = int(random.integers(0, height - side + 1))
            left = int(random.integers(0, width - side + 1))
            placed = Placed(
                int(random.integers(digits)),
                top,
                left,
                side,
                float(random.uniform(-rules.rotation, rules.rotation)),
            )
            if all(_covered(placed, other) <= rules.overlap for other in found):
                found.append(placed)
                yield placed
                break


def _covered(one: Placed, other: Placed) -> float:
    """Return how much of the smaller of the squares around two digits lies in the other."""
    inner = [one.side / PAPER, other.side / PAPER]
    reach, most = sum(inner) / 2, min(inner)
    rows = reach - abs(one.top + one.side / 2 - other.top - other.side / 2)
    columns = reach - abs(one.left + one.side / 2 - other.left - other.side / 2)
    return min(most, max(0.0, rows)) * min(most, max(0.0, columns)) / most**2


def drawn(
    random: np.random.Generator, rules: Rules, plan: list[Placed], glyphs: Array
) -> tuple[Array, Array]:
    """Return a scene's image, (C, H, W) uint8, and whose ink each pixel is, (H, W) int64.

    The latter is the place of the digit in the plan, or -1.

    Args:
        random: Where texture and colours come from.
        rules: What all scenes have in common.
        plan: The digits.
        glyphs: Their pixels, (N, 28, 28) from 0 to 1.
    """
    image, tone = _ground(random, rules)
    owner = np.full(rules.size, -1)
    for place, (digit, glyph) in enumerate(zip(plan, glyphs, strict=True)):
        ink = _written(glyph, digit)
        window = np.s_[digit.top : digit.top + digit.side, digit.left : digit.left + digit.side]
        colour = _unlike(random, tone, rules.channels)
        part = image[window]
        part += ink[..., None] * (colour - part)
        owner[window][ink > _INK] = place
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), owner


def _written(glyph: Array, digit: Placed) -> Array:
    """Return a digit's opacity, (side, side), turned and enlarged from its glyph."""
    turn = np.deg2rad(digit.angle)
    scale = GLYPH / digit.side
    at = (np.arange(digit.side, dtype=np.float32) + 0.5) * scale - GLYPH / 2
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x = cosine * at[None, :] + sine * at[:, None] + (GLYPH - 1) / 2
    y = cosine * at[:, None] - sine * at[None, :] + (GLYPH - 1) / 2
    # A border of paper, so that what is beside the glyph is taken from there.
    padded = np.zeros((GLYPH + 3, GLYPH + 3), np.float32)
    padded[1:-2, 1:-2] = glyph
    x, y = np.clip(x + 1, 0, GLYPH + 1), np.clip(y + 1, 0, GLYPH + 1)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x, y = x - column, y - row
    corner = row * (GLYPH + 3) + column
    flat = padded.ravel()
    above = flat[corner] * (1 - x) + flat[corner + 1] * x
    below = flat[corner + GLYPH + 3] * (1 - x) + flat[corner + GLYPH + 4] * x
    # Enlarged strokes are blurred; this gives them back an edge of about a pixel.
    sharp = max(1.0, 1 / scale)
    ink: Array = np.clip(((above * (1 - y) + below * y) - _INK) * sharp * 1.5 + _INK, 0, 1)
    return ink


def _ground(random: np.random.Generator, rules: Rules) -> tuple[Array, float]:
    """Return a texture, (H, W, C) float32 about from 0 to 1, and its brightness on the whole."""
    height, width = rules.size
    tone = float(random.uniform(0.15, 0.85))
    cells = random.random((rules.channels, 5, 5), np.float32) - 0.5
    clouds = _enlarging(height) @ cells @ _enlarging(width).T
    angle, length, phase = random.uniform(0, np.pi), random.uniform(6, 24), random.uniform(0, 7)
    turn = 2 * np.pi / length
    rows = np.exp(1j * (turn * np.sin(angle) * np.arange(height) + phase)).astype(np.complex64)
    columns = np.exp(1j * turn * np.cos(angle) * np.arange(width)).astype(np.complex64)
    stripes = (rows[:, None] * columns[None, :]).real * np.float32(random.uniform(0, 0.06))
    grain = random.random((height, width), np.float32) * 0.12 - 0.06
    ground = 0.3 * clouds.transpose(1, 2, 0) + (stripes + grain + np.float32(tone))[..., None]
    return np.ascontiguousarray(ground, dtype=np.float32), tone


@lru_cache(maxsize=16)
def _enlarging(pixels: int, cells: int = 5) -> Array:
    """Return the matrix (pixels, cells) of linear interpolation from cells to pixels."""
    at = np.linspace(0, cells - 1, pixels, dtype=np.float32)[:, None]
    weights: Array = np.maximum(0, 1 - np.abs(at - np.arange(cells, dtype=np.float32)))
    return weights


def _unlike(random: np.random.Generator, tone: float, channels: int) -> Array:
    """Return a colour, (C,), that is lighter than a dark ground and darker than a light one."""
    away = random.uniform(0.4, 0.6)
    middle = tone + away if tone < 0.5 else tone - away
    colour = middle + random.uniform(-0.25, 0.25, channels)
    colour += middle - colour.mean()  # whatever its hue, it stands out from the ground
    return np.clip(colour, 0, 1).astype(np.float32)
