"""Draw classes of pixels, masks and boxes on an image, in place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gvt.batch import IGNORED
from gvt.vision.drawing.palette import color_of, indexed_palette, text_color

_PART = 1 << 20
"""Pixels that are painted at a time, so that a large image is not copied as a whole."""

_MOST_CELLS = 1 << 24
"""Largest number of cells of the map of texts; a smaller image has one for each pixel."""

_SMALLEST_FONT, _LINES = 10, 48
"""Lines of text that an image has room for, in the size of labels."""

_HALF, _OPAQUE = 128, 255

Sides = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Mark:
    """An object to draw.

    Attributes:
        number: Number of its colour, usually that of its class.
        box: Left, top, right and bottom in pixels of the image, if it has a box.
        text: Text at its box.
        mask: (h, w) bool, if it has a mask.
        corner: Column and row in the image of the first pixel of the mask.
        dashes: 0 for a box of solid lines; the greater it is, the shorter are the dashes.
    """

    number: int
    box: Sequence[float] | None = None
    text: str = ""
    mask: np.ndarray | None = None
    corner: tuple[int, int] = (0, 0)
    dashes: int = 0


def paint_classes(
    image: Image.Image, maps: Mapping[str, np.ndarray], classes: int, *, outlined: bool = False
) -> set[int]:
    """Paint the colours of classes on an image, in place, half transparent.

    Args:
        image: Image of mode `RGB`.
        maps: `semantic` (H, W) uint8, or `masks` (K, H, W) bool.
        classes: The number of classes; greater numbers are not painted.
        outlined: Whether to draw only outlines, on pixels that are painted already.

    Returns:
        The numbers of the classes that are on the image.
    """
    rows = max(1, _PART // image.width)
    width = _line(letters_on(image.size)) if outlined else 0
    palette = indexed_palette(background=False)
    present: set[int] = set()
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        # With the rows around it, or each part would have an outline.
        first = max(0, top - width)
        for values in _rows(maps, first, bottom + width):
            inner = slice(top - first, bottom - first)
            numbers, shown = values[inner], values[inner] < classes
            present |= set(np.flatnonzero(np.bincount(numbers[shown])).tolist())
            if outlined:
                shown &= edges(values, width)[inner]
            colors = Image.fromarray(numbers)
            colors.putpalette(palette)
            opacity = shown * np.uint8(_OPAQUE if outlined else _HALF)
            image.paste(colors.convert("RGB"), (0, top), Image.fromarray(opacity))
    return present


def _rows(maps: Mapping[str, np.ndarray], top: int, bottom: int) -> Iterator[np.ndarray]:
    """Yield rows of class numbers: of all classes, or of one class after the other."""
    if "semantic" in maps:
        yield maps["semantic"][top:bottom]
    for number, mask in enumerate(maps.get("masks", ())):
        yield np.where(mask[top:bottom], np.uint8(number), np.uint8(IGNORED))


def draw_marks(image: Image.Image, marks: Sequence[Mark], *, outlined: bool = False) -> None:
    """Draw masks half transparent, and boxes and texts over them, on an image, in place.

    Lines and letters grow with the image, unless its objects are small. The first mark is drawn
    over the later ones. A text that would hide an earlier one is left out.

    Args:
        image: Image of mode `RGB`.
        marks: The objects.
        outlined: Whether to draw only outlines of masks, on pixels that are painted already.
    """
    boxes = [(mark, _pixels(mark.box, image.size)) for mark in marks if mark.box is not None]
    letters = letters_on(image.size, [mark.box for mark, _ in boxes if mark.box is not None])
    line, pen = _line(letters), ImageDraw.Draw(image)
    for mark in reversed(marks):
        if mark.mask is not None and mark.mask.size:
            shown = outline(mark.mask, line) if outlined else mark.mask
            opacity = shown * np.uint8(_OPAQUE if outlined else _HALF)
            image.paste(color_of(mark.number), mark.corner, Image.fromarray(opacity))
    for mark, sides in reversed(boxes):
        _draw_box(pen, sides, line, mark)
    labels = _Labels(image, letters)
    for mark, sides in boxes:
        if mark.text:
            labels.write(mark.text, sides, mark.number)


def _draw_box(pen: ImageDraw.ImageDraw, sides: Sides, line: int, mark: Mark) -> None:
    left, top, right, bottom = sides
    color = color_of(mark.number)
    if not mark.dashes or min(right - left, bottom - top) < 2 * line:
        pen.rectangle(sides, outline=color, width=line)
        return
    for x, end in strokes(left, right, line, mark.dashes):
        pen.rectangle((x, top, end, top + line - 1), fill=color)
        pen.rectangle((x, bottom - line + 1, end, bottom), fill=color)
    for y, end in strokes(top, bottom, line, mark.dashes):
        pen.rectangle((left, y, left + line - 1, end), fill=color)
        pen.rectangle((right - line + 1, y, right, end), fill=color)


def strokes(start: int, end: int, line: int, dashes: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last pixels of the strokes of a line of width `line`."""
    length = max(1, 6 // dashes) * line if dashes else end - start + 1
    for first in range(start, end + 1, 2 * length):
        yield first, min(first + length - 1, end)


def letters_on(size: tuple[int, int], boxes: Sequence[Sequence[float]] = ()) -> int:
    """Return the height of letters for an image, less if its objects are small."""
    height = math.sqrt(size[0] * size[1]) / _LINES
    if boxes:
        sides = [min(right - left, bottom - top) for left, top, right, bottom in boxes]
        height = min(height, float(np.median(sides)) / 2)
    return max(_SMALLEST_FONT, round(height))


def _line(letters: int) -> int:
    return max(1, round(letters / 7))


def _pixels(box: Sequence[float], size: tuple[int, int]) -> Sides:
    """Return the outermost pixels of a box within the image."""
    width, height = size
    left, top = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
    right, bottom = min(math.ceil(box[2]), width) - 1, min(math.ceil(box[3]), height) - 1
    return left, top, max(left, right), max(top, bottom)


def edges(values: np.ndarray, width: int = 1) -> np.ndarray:
    """Return which entries have another value near them, in their row or their column.

    The border of the array does not count.

    Args:
        values: (H, W).
        width: Largest distance of the other value, in entries.

    Returns:
        (H, W) bool.
    """
    result = np.zeros(values.shape, bool)
    for rows, near in ((values, result), (values.T, result.T)):
        for step in range(1, width + 1):
            differs = rows[step:] != rows[:-step]
            near[step:] |= differs
            near[:-step] |= differs
    return result


def outline(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """Return the outermost pixels of a mask (H, W) bool, also along the border of the image."""
    ends: np.ndarray = edges(np.pad(mask, 1), width)
    ends[1:-1, 1:-1] &= mask
    return ends[1:-1, 1:-1]


class _Labels:
    """Texts at boxes, each on its colour, without overlaps.

    Args:
        image: The image.
        letters: Height of letters in pixels.
    """

    def __init__(self, image: Image.Image, letters: int) -> None:
        self._pen, self._size = ImageDraw.Draw(image), image.size
        self._font = ImageFont.load_default(letters)
        self._cell = math.ceil(math.sqrt(image.width * image.height / _MOST_CELLS))
        cells = (-(-image.height // self._cell), -(-image.width // self._cell))
        self._taken = np.zeros(cells, np.bool_)

    def write(self, text: str, box: Sides, number: int) -> None:
        """Write a text above, in or below a box, where it hides least of earlier texts.

        If it would hide more than half, it is left out.
        """
        left, top, right, bottom = map(round, self._pen.textbbox((0, 0), text, font=self._font))
        width, height = right - left + 4, bottom - top + 4
        x = max(0, min(box[0], self._size[0] - width))
        places = []
        for y in (box[1] - height, box[1], box[3] + 1, box[3] + 1 - height):
            y_inside = max(0, min(y, self._size[1] - height))
            places.append((x, y_inside, x + width, y_inside + height))
        place = min(places, key=lambda sides: self._part(sides).sum())
        part = self._part(place)
        if 2 * part.sum() > part.size:
            return
        part[:] = True
        self._pen.rectangle((*place[:2], place[2] - 1, place[3] - 1), fill=color_of(number))
        origin = (place[0] + 2 - left, place[1] + 2 - top)
        self._pen.text(origin, text, fill=text_color(color_of(number)), font=self._font)

    def _part(self, sides: Sides) -> np.ndarray:
        """Return the cells of a rectangle; those with text are true."""
        left, top, right, bottom = sides
        rows = slice(top // self._cell, -(-bottom // self._cell))
        return self._taken[rows, left // self._cell : -(-right // self._cell)]
