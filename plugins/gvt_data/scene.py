"""Draw scenes: digits of several sizes on a textured background."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

GLYPH = 28
"""Side of MNIST's images in pixels."""

PAPER = GLYPH / 20
"""Side of a digit's square relative to the size of the digit, which is 20 pixels in MNIST."""

_INK = 0.4
"""Least opacity of a pixel that belongs to a digit."""

_TRIES = 20
"""Number of attempts to place a digit."""

_SMALLER = 0.8
"""Largest size of the other digits relative to the largest digit."""


@dataclass(frozen=True)
class Rules:
    """The parameters of all scenes of a data set.

    Attributes:
        size: (H, W) of the canvas in pixels.
        channels: 1 for grey, 3 for colour.
        objects: Least and greatest number of digits.
        digit_size: Least and greatest height of a digit in pixels.
        overlap: Largest share of a digit's square that another digit's square may cover.
        rotation: Largest angle of a digit in degrees, in either direction.
    """

    size: tuple[int, int]
    channels: int
    objects: tuple[int, int]
    digit_size: tuple[int, int]
    overlap: float
    rotation: float


@dataclass(frozen=True)
class Placed:
    """A digit in a scene.

    Attributes:
        number: Index of its image in MNIST.
        top: Top of its square in pixels.
        left: Left of its square in pixels.
        side: Side of its square in pixels.
        angle: Rotation in degrees.
    """

    number: int
    top: int
    left: int
    side: int
    angle: float


def planned(random: np.random.Generator, rules: Rules, digits: int) -> list[Placed]:
    """Return the digits of a scene from back to front. The largest is in front.

    A digit without room after 20 attempts is left out; the first digit always has room.

    Args:
        random: Random generator.
        rules: Parameters of the scenes.
        digits: Number of digits to choose from.
    """
    return list(_placements(random, rules, digits))[::-1]


def largest(random: np.random.Generator, rules: Rules, digits: int) -> int:
    """Return the number of a scene's largest digit, without placing the others."""
    return next(_placements(random, rules, digits)).number


def _placements(random: np.random.Generator, rules: Rules, digits: int) -> Iterator[Placed]:
    """Yield a scene's digits, the largest first."""
    height, width = rules.size
    least, greatest = rules.digit_size
    count = int(random.integers(rules.objects[0], rules.objects[1] + 1))
    sizes = np.sort(random.integers(least, greatest + 1, count))[::-1]
    sizes[1:] = np.maximum(np.minimum(sizes[1:], int(_SMALLER * sizes[0])), least)
    scene: list[Placed] = []
    for size in sizes.tolist():
        side = int(PAPER * size)
        for _ in range(_TRIES):
            top = int(random.integers(0, height - side + 1))
            left = int(random.integers(0, width - side + 1))
            number = int(random.integers(digits))
            angle = float(random.uniform(-rules.rotation, rules.rotation))
            digit = Placed(number, top, left, side, angle)
            if all(_overlap(digit, neighbour) <= rules.overlap for neighbour in scene):
                scene.append(digit)
                yield digit
                break


def _overlap(first: Placed, second: Placed) -> float:
    """Return the share of the smaller of two digits' squares that the other covers."""
    sizes = [first.side / PAPER, second.side / PAPER]
    reach, smaller = sum(sizes) / 2, min(sizes)
    rows = reach - abs(first.top + first.side / 2 - second.top - second.side / 2)
    columns = reach - abs(first.left + first.side / 2 - second.left - second.side / 2)
    return min(smaller, max(0.0, rows)) * min(smaller, max(0.0, columns)) / smaller**2


def drawn(
    random: np.random.Generator, rules: Rules, plan: list[Placed], glyphs: Array
) -> tuple[Array, Array]:
    """Return the image of a scene, (C, H, W) uint8, and the owner of each pixel, (H, W) int64.

    The owner is the index in the plan of the digit that the pixel belongs to, or -1.

    Args:
        random: Random generator for texture and colours.
        rules: Parameters of the scenes.
        plan: The N digits.
        glyphs: Their pixels, (N, 28, 28) from 0 to 1.
    """
    image, tone = _background(random, rules)
    owner = np.full(rules.size, -1)
    for index, (digit, glyph) in enumerate(zip(plan, glyphs, strict=True)):
        ink = _opacity(glyph, digit)
        window = np.s_[digit.top : digit.top + digit.side, digit.left : digit.left + digit.side]
        colour = _contrasting(random, tone, rules.channels)
        part = image[window]
        part += ink[..., None] * (colour - part)
        owner[window][ink > _INK] = index
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), owner


def _opacity(glyph: Array, digit: Placed) -> Array:
    """Return the opacity of a digit, (side, side), by rotating and scaling its glyph."""
    angle = np.deg2rad(digit.angle)
    scale = GLYPH / digit.side
    at = (np.arange(digit.side, dtype=np.float32) + 0.5) * scale - GLYPH / 2
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x = cosine * at[None, :] + sine * at[:, None] + (GLYPH - 1) / 2
    y = cosine * at[:, None] - sine * at[None, :] + (GLYPH - 1) / 2
    # Pixels outside the glyph are sampled from an empty border.
    padded = np.zeros((GLYPH + 3, GLYPH + 3), np.float32)
    padded[1:-2, 1:-2] = glyph
    x, y = np.clip(x + 1, 0, GLYPH + 1), np.clip(y + 1, 0, GLYPH + 1)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x, y = x - column, y - row
    corner = row * (GLYPH + 3) + column
    flat = padded.ravel()
    above = flat[corner] * (1 - x) + flat[corner + 1] * x
    below = flat[corner + GLYPH + 3] * (1 - x) + flat[corner + GLYPH + 4] * x
    # Enlarged strokes are blurred; this restores an edge of about a pixel.
    sharp = max(1.0, 1 / scale)
    ink: Array = np.clip(((above * (1 - y) + below * y) - _INK) * sharp * 1.5 + _INK, 0, 1)
    return ink


def _background(random: np.random.Generator, rules: Rules) -> tuple[Array, float]:
    """Return a texture, (H, W, C) float32 from about 0 to 1, and its mean brightness."""
    height, width = rules.size
    tone = float(random.uniform(0.15, 0.85))
    cells = random.random((rules.channels, 5, 5), np.float32) - 0.5
    clouds = _upsampling(height) @ cells @ _upsampling(width).T
    angle, length, phase = random.uniform(0, np.pi), random.uniform(6, 24), random.uniform(0, 7)
    frequency = 2 * np.pi / length
    rows = np.exp(1j * (frequency * np.sin(angle) * np.arange(height) + phase)).astype(np.complex64)
    columns = np.exp(1j * frequency * np.cos(angle) * np.arange(width)).astype(np.complex64)
    stripes = (rows[:, None] * columns[None, :]).real * np.float32(random.uniform(0, 0.06))
    grain = random.random((height, width), np.float32) * 0.12 - 0.06
    texture = 0.3 * clouds.transpose(1, 2, 0) + (stripes + grain + np.float32(tone))[..., None]
    return np.ascontiguousarray(texture, dtype=np.float32), tone


@lru_cache(maxsize=16)
def _upsampling(pixels: int, cells: int = 5) -> Array:
    """Return the matrix of linear interpolation from cells to pixels, (pixels, cells)."""
    at = np.linspace(0, cells - 1, pixels, dtype=np.float32)[:, None]
    weights: Array = np.maximum(0, 1 - np.abs(at - np.arange(cells, dtype=np.float32)))
    return weights


def _contrasting(random: np.random.Generator, tone: float, channels: int) -> Array:
    """Return a colour, (C,), lighter than a dark background and darker than a light one."""
    contrast = random.uniform(0.4, 0.6)
    brightness = tone + contrast if tone < 0.5 else tone - contrast
    colour = brightness + random.uniform(-0.25, 0.25, channels)
    colour += brightness - colour.mean()  # the hue does not change the contrast
    return np.clip(colour, 0, 1).astype(np.float32)
