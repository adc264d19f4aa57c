"""A legend below an image: words, and what its colours and lines mean."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from PIL import Image, ImageDraw, ImageFont, ImageOps

from gvt.vision.drawing.overlay import letters_on, strokes
from gvt.vision.drawing.palette import color_of

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Item:
    """Words, perhaps behind a sample of what they explain.

    Attributes:
        text: The words.
        color: The number of the class whose colour is explained.
        dashes: The lines that are explained; see `gvt.vision.drawing.overlay.Mark`.
        begins: Whether a new row begins with it.
    """

    text: str
    color: int | None = None
    dashes: int | None = None
    begins: bool = False


def with_legend(
    image: Image.Image, items: Sequence[Item], letters: int | None = None
) -> Image.Image:
    """Return an image with a legend below it; the image itself if there are no items.

    Words that are longer than the image is wide are broken, between words where they can be.

    Args:
        image: Of mode `RGB`.
        items: What is in the legend.
        letters: The height of letters in pixels; by the image's size unless given.
    """
    if not items:
        return image
    letters = letters or letters_on(image.size)
    font, margin, row = ImageFont.load_default(letters), letters // 3 + 1, round(1.4 * letters)
    places: list[tuple[int, int, Item, str]] = []
    left, top = margin, margin
    for item in items:
        swatch = _swatch_width(item, letters, image.width)
        ahead = swatch + margin if swatch else 0
        lines = _broken(item.text, font, max(letters, image.width - 2 * margin - ahead))
        needed = ahead + int(font.getlength(lines[0]))
        if left > margin and (item.begins or left + needed > image.width - margin):
            left, top = margin, top + row
        for number, line in enumerate(lines):
            top += row if number else 0
            left = margin if number else left
            places.append((left, top, Item("") if number else item, line))
            left += ahead + int(font.getlength(line)) + 3 * margin
    whole = ImageOps.expand(image, (0, 0, 0, top + row + margin), "white")
    pen = ImageDraw.Draw(whole)
    for left, top, item, line in places:
        y, x = image.height + top, left
        if swatch := _swatch_width(item, letters, image.width):
            _draw_swatch(pen, item, (x, y + letters // 4, x + swatch, y + letters), letters // 7)
            x += swatch + margin
        pen.text((x, y), line, fill="black", font=font)
    return whole


def _swatch_width(item: Item, letters: int, width: int) -> int:
    """Return how wide the sample before an item's words is: a square, or a piece of a line."""
    if item.color is not None:
        return min(letters, width // 4)
    return 0 if item.dashes is None else min(3 * letters, width // 4)


def _draw_swatch(
    pen: ImageDraw.ImageDraw, item: Item, sides: tuple[int, int, int, int], line: int
) -> None:
    left, top, right, bottom = sides
    if item.color is not None:
        pen.rectangle(sides, fill=color_of(item.color))
        return
    line, y = max(1, line), (top + bottom) // 2
    for x, end in strokes(left, right, line, item.dashes or 0):
        pen.rectangle((x, y, end, y + line - 1), fill="black")


def _broken(text: str, font: _Font, width: int) -> list[str]:
    """Return the text as lines of at most a width in pixels."""
    lines = []
    while text:
        ends = range(1, len(text) + 1)
        end = max(1, bisect_right(ends, width, key=lambda end: ceil(font.getlength(text[:end]))))
        space = text.rfind(" ", 1, end + 1) if end < len(text) else -1
        lines.append(text[: space if space > 0 else end])
        text = text[len(lines[-1]) :].lstrip()
    return lines or [""]
