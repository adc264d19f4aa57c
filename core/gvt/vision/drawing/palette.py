"""Colours of classes."""

from __future__ import annotations

import colorsys

from gvt.batch import IGNORED

MOST_CLASSES = 254
"""Largest number of classes of pixels in 8 bits, besides background and ignored pixels."""

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

# Twenty colours that are easy to distinguish, after Sasha Trubetskoy's list; the first three also
# for people who cannot distinguish red from green.
_FIRST: tuple[Color, ...] = (
    (230, 25, 75), (67, 99, 216), (255, 225, 25), (60, 180, 75), (245, 130, 49),
    (145, 30, 180), (70, 240, 240), (240, 50, 230), (188, 246, 12), (250, 190, 190),
    (0, 128, 128), (230, 190, 255), (154, 99, 36), (255, 250, 200), (128, 0, 0),
    (170, 255, 195), (128, 128, 0), (255, 216, 177), (0, 0, 117), (128, 128, 128),
)  # fmt: skip
_GOLDEN = 0.618033988749895
_VOID: Color = (224, 224, 192)


def color_of(number: int) -> Color:
    """Return the colour of a class or an object by its number."""
    if number < len(_FIRST):
        return _FIRST[number]
    # Steps of the golden ratio around the circle of hues never meet an earlier one.
    hue = number * _GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.6, 0.75)[number % 3], 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def text_color(ground: Color) -> Color:
    """Return black or white, whichever is easier to read on a colour."""
    red, green, blue = ground
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else (255, 255, 255)


def indexed_palette(background: bool) -> list[int]:
    """Return the 256 colours of an indexed mask as a flat list for Pillow.

    Without a background, entry i is class i. With a background, it is entry 0, black, and class i
    is entry i + 1, as in Pascal VOC. Entry 255 is for ignored pixels.
    """
    first: list[Color] = [(0, 0, 0)] if background else []
    colors = [*first, *(color_of(i) for i in range(IGNORED - len(first))), _VOID]
    return [value for color in colors for value in color]
