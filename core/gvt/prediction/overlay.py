"""What is said of places in a picture, drawn on it in its own size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gvt.batch import IGNORED
from gvt.prediction.objects import Objects, Part
from gvt.runs.palette import Color, color_of, paint, text_color
from gvt.runs.pictures import caption

_PART = 1 << 20
"""Pixels that are painted at a time."""

_SMALLEST_FONT = 10
_LINES = 48
"""Lines of text that a picture has room for, in the size that names are written in."""

_Sides = tuple[int, int, int, int]
"""Left, top, right and bottom."""


def painted(image: Image.Image, part: Mapping[str, np.ndarray], classes: int) -> None:
    """Lay the classes' colours on a picture, in place.

    Args:
        image: Of mode `RGB`.
        part: `semantic` (H, W), or `masks` (K, H, W).
        classes: How many there are.
    """
    rows = max(1, _PART // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels = np.array(image.crop((0, top, image.width, bottom)))
        if "semantic" in part:
            paint(pixels, part["semantic"][top:bottom], classes)
        for number, mask in enumerate(part.get("masks", ())):
            of_class = np.where(mask[top:bottom], number, IGNORED)
            paint(pixels, of_class, classes)
        image.paste(Image.fromarray(pixels), (0, top))


def draw_objects(image: Image.Image, objects: Objects, classes: Sequence[str]) -> None:
    """Draw boxes with names and scores, and masks half transparent, on a picture, in place.

    Lines and letters are as large as the picture is, unless its objects are small. What is surer
    is drawn over what is less, and of names that have no room for all the surer ones are written.

    Args:
        image: Of mode `RGB`.
        objects: In pixels of the picture, with falling scores.
        classes: Names of the classes.
    """
    if not len(objects):
        return
    boxes, labels, scores = (v.tolist() for v in (objects.boxes, objects.labels, objects.scores))
    colors = [color_of(label) for label in labels]
    for mask, label in zip(reversed(objects.masks or ()), reversed(labels), strict=False):
        _paint_mask(image, mask, label)
    letters = _letters(image.size, boxes)
    font, line = ImageFont.load_default(letters), max(1, round(letters / 7))
    pen = ImageDraw.Draw(image)
    for box, color in zip(reversed(boxes), reversed(colors), strict=True):
        pen.rectangle(_pixels(box, image.size), outline=color, width=line)
    names = [caption(classes[n] if n < len(classes) else n) for n in labels]
    taken = _Taken(letters)
    for box, name, score, color in zip(boxes, names, scores, colors, strict=True):
        _write(pen, font, f"{name} {score:.2f}", _pixels(box, image.size), color, taken)


def _paint_mask(image: Image.Image, mask: Part, label: int) -> None:
    height, width = mask.pixels.shape
    if not (height and width):
        return
    sides = (mask.left, mask.top, mask.left + width, mask.top + height)
    pixels = np.array(image.crop(sides))
    paint(pixels, np.where(mask.pixels.numpy(), label, label + 1), label + 1)
    image.paste(Image.fromarray(pixels), sides[:2])


def _letters(size: tuple[int, int], boxes: Sequence[Sequence[float]]) -> int:
    """Return how high letters are: by the picture, and no higher than a share of most objects."""
    sides = [min(right - left, bottom - top) for left, top, right, bottom in boxes]
    wanted = min(math.sqrt(size[0] * size[1]) / _LINES, float(np.median(sides)) / 2)
    return max(_SMALLEST_FONT, round(wanted))


def _pixels(box: Sequence[float], size: tuple[int, int]) -> _Sides:
    """Return the outermost pixels of a box that are in the picture."""
    left, top, right, bottom = box
    x, y = (min(int(value), side - 1) for value, side in zip((left, top), size, strict=True))
    last = (int(np.ceil(value)) - 1 for value in (right, bottom))
    x2, y2 = (min(value, side - 1) for value, side in zip(last, size, strict=True))
    return x, y, max(x, x2), max(y, y2)


def _write(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: str,
    box: _Sides,
    color: Color,
    taken: _Taken,
) -> None:
    """Write what a box is on its colour: above it, within, or below, where most is free.

    Where hardly anything is, the names of the surer ones stay legible.
    """
    picture_width, picture_height = pen.im.size
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = int(right - left) + 4, int(bottom - top) + 4
    x = max(0, min(box[0], picture_width - width))
    places = []
    for y in (box[1] - height, box[1], box[3] + 1, box[3] + 1 - height):
        y_inside = max(0, min(y, picture_height - height))
        places.append((x, y_inside, x + width, y_inside + height))
    shared, _, place = min((taken.shared(sides), n, sides) for n, sides in enumerate(places))
    if 2 * shared > width * height:
        return
    taken.add(place)
    pen.rectangle((*place[:2], place[2] - 1, place[3] - 1), fill=color)
    origin = (place[0] + 2 - left, place[1] + 2 - top)
    pen.text(origin, text, fill=text_color(color), font=font)


class _Taken:
    """Places that are written on, found by the cells of a grid, since there may be thousands.

    Args:
        letters: How high the letters are; a cell has room for a short name.
    """

    def __init__(self, letters: int) -> None:
        self._height, self._width = 2 * letters, 8 * letters
        self._places: dict[tuple[int, int], list[_Sides]] = defaultdict(list)

    def add(self, sides: _Sides) -> None:
        """Take a place."""
        for cell in self._cells(sides):
            self._places[cell].append(sides)

    def shared(self, sides: _Sides) -> int:
        """Return how many pixels a place has in common with those that are taken."""
        near = {other for cell in self._cells(sides) for other in self._places.get(cell, ())}
        return sum(_area(sides, other) for other in near)

    def _cells(self, sides: _Sides) -> list[tuple[int, int]]:
        left, top, right, bottom = sides
        rows = range(top // self._height, (bottom - 1) // self._height + 1)
        columns = range(left // self._width, (right - 1) // self._width + 1)
        return [(row, column) for row in rows for column in columns]


def _area(one: _Sides, other: _Sides) -> int:
    """Return how many pixels two places have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
