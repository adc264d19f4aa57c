"""What stands below a picture that several heads are drawn on: words, and a key to the colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from gvt.vision.drawing import Color, caption, color_of
from gvt_predict.overlay import letters_on, strokes

_BLACK: Color = (0, 0, 0)


@dataclass(frozen=True)
class Item:
    """Words, perhaps behind a mark that they explain.

    Attributes:
        text: The words.
        colour: The number of the class whose colour is explained.
        head: The place among the heads that find objects whose lines are explained.
        begins: Whether a new row begins with it.
    """

    text: str
    colour: int | None = None
    head: int | None = None
    begins: bool = False

    @property
    def is_marked(self) -> bool:
        """Whether there is a mark before the words."""
        return self.colour is not None or self.head is not None


def items(
    told: Iterable[tuple[str, str]],
    finding: Sequence[str],
    painted: Iterable[int],
    classes: Sequence[str],
) -> list[Item]:
    """Return what is to be said below a picture.

    Args:
        told: Heads, each with what it says of the whole picture.
        finding: Heads that find objects; their lines are explained if there are several.
        painted: Classes of pixels that there are.
        classes: Names of the classes.
    """
    found = [Item(f"{caption(head)}: {words}", begins=True) for head, words in told]
    if len(finding) > 1:
        found += [Item(caption(h), head=n, begins=not n) for n, h in enumerate(finding)]
    first = True
    for number in sorted(painted):
        found.append(Item(caption(classes[number]), colour=number, begins=first))
        first = False
    return found


def with_strip(image: Image.Image, said: Sequence[Item]) -> Image.Image:
    """Return a picture with a strip below it, the picture itself where nothing is said.

    Words that are longer than the picture is wide are broken, between words where they can be.

    Args:
        image: Of mode `RGB`.
        said: What stands in the strip.
    """
    if not said:
        return image
    letters = letters_on(image.size)
    font, margin, row = ImageFont.load_default(letters), letters // 3 + 1, round(1.4 * letters)
    mark = min(3 * letters, image.width // 4)
    places: list[tuple[int, int, Item, str]] = []
    left, top = margin, margin
    for item in said:
        ahead = mark + margin if item.is_marked else 0
        lines = _broken(item.text, font, max(letters, image.width - 2 * margin - ahead))
        needed = ahead + int(font.getlength(lines[0]))
        if left > margin and (item.begins or left + needed > image.width - margin):
            left, top = margin, top + row
        for number, line in enumerate(lines):
            top += row if number else 0
            left = margin if number else left
            places.append((left, top, Item("") if number else item, line))
            left += ahead + int(font.getlength(line)) + 3 * margin
    whole = Image.new("RGB", (image.width, image.height + top + row + margin), "white")
    whole.paste(image)
    pen = ImageDraw.Draw(whole)
    for left, top, item, line in places:
        y, x = image.height + top, left
        if item.is_marked:
            _mark(pen, item, (x, y + letters // 4, x + mark, y + letters), max(1, letters // 7))
            x += mark + margin
        pen.text((x, y), line, fill=_BLACK, font=font)
    return whole


def _mark(
    pen: ImageDraw.ImageDraw, item: Item, sides: tuple[int, int, int, int], line: int
) -> None:
    if item.colour is not None:
        pen.rectangle(sides, fill=color_of(item.colour))
        return
    left, top, right, bottom = sides
    y = (top + bottom) // 2
    for x, end in strokes(left, right, line, item.head or 0):
        pen.rectangle((x, y, end, y + line - 1), fill=_BLACK)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Return lines that are no wider than so many pixels."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
