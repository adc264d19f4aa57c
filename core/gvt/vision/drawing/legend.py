"""Draw a legend below an image."""

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
    """An entry of a legend.

    Attributes:
        text: The text.
        color: Number of the class whose colour is shown before the text.
        dashes: Dashes of a line that is shown before the text, as of a `Mark`.
        begins: Whether it begins a new row.
    """

    text: str
    color: int | None = None
    dashes: int | None = None
    begins: bool = False


def with_legend(
    image: Image.Image, items: Sequence[Item], letters: int | None = None
) -> Image.Image:
    """Return an image with a legend below it; the image itself if there are no items.

    Texts that are wider than the image are broken, between words if possible.

    Args:
        image: Image of mode `RGB`.
        items: Entries of the legend.
        letters: Height of letters in pixels; by default it depends on the size of the image.
    """
    if not items:
        return image
    letters = letters or letters_on(image.size)
    font, margin, row = ImageFont.load_default(letters), letters // 3 + 1, round(1.4 * letters)
    places: list[tuple[int, int, Item, int, str]] = []
    left, top = margin, margin
    for item in items:
        swatch = 0  # width of the square or the line before the text
        if item.color is not None or item.dashes is not None:
            swatch = min(letters if item.color is not None else 3 * letters, image.width // 4)
        ahead = swatch + margin if swatch else 0
        lines = _broken(item.text, font, max(letters, image.width - 2 * margin - ahead))
        needed = ahead + int(font.getlength(lines[0]))
        if left > margin and (item.begins or left + needed > image.width - margin):
            left, top = margin, top + row
        for number, line in enumerate(lines):
            top += row if number else 0
            left = margin if number else left
            places.append((left, top, item, 0 if number else swatch, line))
            left += ahead + int(font.getlength(line)) + 3 * margin
    whole = ImageOps.expand(image, (0, 0, 0, top + row + margin), "white")
    pen = ImageDraw.Draw(whole)
    for x, top, item, swatch, line in places:
        y = image.height + top
        if swatch:
            _draw_swatch(pen, item, (x, y + letters // 4, x + swatch, y + letters), letters // 7)
        pen.text((x + (swatch and swatch + margin), y), line, fill="black", font=font)
    return whole


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
