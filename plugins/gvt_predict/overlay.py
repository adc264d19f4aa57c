"""What is said of places in a picture, drawn on it in its own size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torchvision.ops import box_iou

from gvt import IGNORED
from gvt.vision.drawing import Color, caption, color_of, edges, outline, paint, text_color
from gvt_predict.merging import SAME
from gvt_predict.objects import Objects, Part

_PART = 1 << 20
"""Pixels that are painted at a time."""

_SMALLEST_FONT = 10
_LINES = 48
"""Lines of text that a picture has room for, in the size that names are written in."""

_Sides = tuple[int, int, int, int]
"""Left, top, right and bottom."""


def painted(
    image: Image.Image, part: Mapping[str, np.ndarray], classes: int, *, outlined: bool = False
) -> set[int]:
    """Lay the classes' colours on a picture, in place.

    Args:
        image: Of mode `RGB`.
        part: `semantic` (H, W), or `masks` (K, H, W).
        classes: How many there are.
        outlined: Draw where each class ends instead, on pixels that are painted already.

    Returns:
        The numbers of the classes that there are.
    """
    rows = max(1, _PART // image.width)
    width = _line(letters_on(image.size)) if outlined else 0
    there: set[int] = set()
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels = np.array(image.crop((0, top, image.width, bottom)))
        # With the lines around it, or each part would have an outline of its own.
        first, last = max(0, top - width), bottom + width
        for values in _maps(part, first, last):
            own = values[top - first : bottom - first]
            there |= {n for n in np.flatnonzero(np.bincount(own.ravel())).tolist() if n < classes}
            if outlined:
                ends = edges(values, width)[top - first : bottom - first]
                paint(pixels, np.where(ends, own, IGNORED), classes, opacity=1)
            else:
                paint(pixels, own, classes)
        image.paste(Image.fromarray(pixels), (0, top))
    return there


def _maps(part: Mapping[str, np.ndarray], top: int, bottom: int) -> Iterator[np.ndarray]:
    """Yield rows of numbers of classes: of all of them, or of one after the other."""
    if "semantic" in part:
        yield part["semantic"][top:bottom]
    for number, mask in enumerate(part.get("masks", ())):
        yield np.where(mask[top:bottom], np.uint8(number), np.uint8(IGNORED))


def draw_objects(
    image: Image.Image, found: Sequence[Objects], classes: Sequence[str], *, outlined: bool = False
) -> None:
    """Draw boxes with names and scores, and masks half transparent, on a picture, in place.

    Lines and letters are as large as the picture is, unless its objects are small. What is surer
    is drawn over what is less, and of names that have no room for all the surer ones are written.

    Of several heads the boxes of the first have whole lines, and those of the others broken ones.
    What two of them have in common, boxes of one class that agree on more than half of what they
    are together, is named once, with the scores of both.

    Args:
        image: Of mode `RGB`.
        found: Of each head, in pixels of the picture, with falling scores.
        classes: Names of the classes.
        outlined: Draw where masks end instead, on pixels that are painted already.
    """
    if not any(map(len, found)):
        return
    letters = letters_on(image.size, [box for of in found for box in of.boxes.tolist()])
    line, pen = _line(letters), ImageDraw.Draw(image)
    for objects in reversed(found):
        for mask, label in zip(
            reversed(objects.masks or ()), reversed(objects.labels.tolist()), strict=False
        ):
            _paint_mask(image, mask, label, line if outlined else 0)
    for head in reversed(range(len(found))):
        rows = zip(found[head].boxes.tolist(), found[head].labels.tolist(), strict=True)
        for box, label in reversed(list(rows)):
            draw_box(pen, _pixels(box, image.size), color_of(label), line, head)
    font, taken = ImageFont.load_default(letters), _Taken(letters)
    for box, label, scores in named_once(found):
        name = caption(classes[label] if label < len(classes) else label)
        text = f"{name} {' / '.join(f'{score:.2f}' for score in scores)}"
        _write(pen, font, text, _pixels(box, image.size), color_of(label), taken)


def named_once(found: Sequence[Objects]) -> list[tuple[list[float], int, list[float]]]:
    """Return the boxes of all heads, with the label and the scores of each, the surest first.

    A box of a further head that is of an object which another head has found is left out, and its
    score stands with the other one's.
    """
    named: list[tuple[list[float], int, list[float]]] = []
    for objects in found:
        before = torch.tensor([box for box, _, _ in named]).reshape(-1, 4)
        labels = torch.tensor([label for _, label, _ in named], dtype=torch.int64)
        free = torch.ones(len(named))
        rows = (value.tolist() for value in (objects.boxes, objects.labels, objects.scores))
        for box, label, score in zip(*rows, strict=True):
            best = None
            if len(free):
                shared = box_iou(torch.tensor([box]), before)[0] * free * (labels == label)
                best = int(shared.argmax()) if shared.max() > SAME else None
            if best is None:
                named.append((box, label, [score]))
            else:
                free[best] = 0
                named[best][2].append(score)
    return sorted(named, key=lambda one: -max(one[2]))


def draw_box(
    pen: ImageDraw.ImageDraw, sides: _Sides, color: Color, line: int, head: int = 0
) -> None:
    """Draw a box: of the first head in whole lines, of each further one in shorter strokes."""
    left, top, right, bottom = sides
    if head == 0 or min(right - left, bottom - top) < 2 * line:
        pen.rectangle(sides, outline=color, width=line)
        return
    for x, end in strokes(left, right, line, head):
        pen.rectangle((x, top, end, top + line - 1), fill=color)
        pen.rectangle((x, bottom - line + 1, end, bottom), fill=color)
    for y, end in strokes(top, bottom, line, head):
        pen.rectangle((left, y, left + line - 1, end), fill=color)
        pen.rectangle((right - line + 1, y, right, end), fill=color)


def strokes(start: int, end: int, line: int, head: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last pixels of the strokes of a line of some width: one, or several."""
    length = max(1, 6 // head) * line if head else end - start + 1
    for first in range(start, end + 1, 2 * length):
        yield first, min(first + length - 1, end)


def _paint_mask(image: Image.Image, mask: Part, label: int, line: int = 0) -> None:
    """Lay a mask's colour on it, or draw its outline of so many pixels."""
    height, width = mask.pixels.shape
    if not (height and width):
        return
    sides = (mask.left, mask.top, mask.left + width, mask.top + height)
    pixels, there = np.array(image.crop(sides)), mask.pixels.numpy()
    if line:
        there = outline(there, line)
    paint(pixels, np.where(there, label, label + 1), label + 1, opacity=1 if line else 0.5)
    image.paste(Image.fromarray(pixels), sides[:2])


def letters_on(size: tuple[int, int], boxes: Sequence[Sequence[float]] = ()) -> int:
    """Return how high letters are: by the picture, and no higher than a share of most objects."""
    wanted = math.sqrt(size[0] * size[1]) / _LINES
    if boxes:
        sides = [min(right - left, bottom - top) for left, top, right, bottom in boxes]
        wanted = min(wanted, float(np.median(sides)) / 2)
    return max(_SMALLEST_FONT, round(wanted))


def _line(letters: int) -> int:
    return max(1, round(letters / 7))


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
