"""Samples for people's eyes: each picture with what is known of it drawn on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from gvt.atomic import replacing
from gvt.batch import IGNORED, Batch
from gvt.geometry import SPATIAL_KEYS
from gvt.loop.evaluation import Mistake
from gvt.vision.drawing.legend import Item, with_legend
from gvt.vision.drawing.overlay import Mark, draw_marks, paint_classes
from gvt.vision.drawing.tiles import LONGEST_TITLE, PADDING, as_images, caption, tiled

SIDES = (112, 320)
"""Least and greatest side of a drawn picture, in pixels."""

LINE, FONT, GAP = 14, 11, 4


def save_samples(batch: Batch, classes: Sequence[str], path: Path) -> None:
    """Draw a batch with its targets as a sheet.

    Args:
        batch: The samples.
        classes: Names of the classes.
        path: Where to write the PNG.
    """
    targets = batch.targets.per_image(len(batch)) if batch.targets else [{}] * len(batch)
    tiles = []
    for image, target, (height, width) in zip(
        batch.images, targets, batch.frame.sizes, strict=True
    ):
        known = _cut(target, height, width)
        tiles.append(_tile(image[:, :height, :width], known, classes, [_words(known, classes)]))
    _save(tiles, path, key=_key(targets, classes))


def save_mistakes(
    mistakes: Sequence[Mistake], classes: Sequence[str], path: Path, title: str = ""
) -> None:
    """Draw the worst samples as a sheet: what was said, and under it what would have been right.

    What is said of places, of pixels or in boxes, is drawn on the picture, and beside it the truth
    on the same picture again. At a predicted box stands its score.

    Args:
        mistakes: The samples, one or more.
        classes: Names of the classes.
        path: Where to write the PNG.
        title: Stands above.
    """
    tiles = [_mistake(mistake, classes) for mistake in mistakes]
    known = [k for mistake in mistakes for k in (mistake.prediction, _asked(mistake))]
    _save(tiles, path, title, _key(known, classes))


def _mistake(mistake: Mistake, classes: Sequence[str]) -> Image.Image:
    """Return a picture with what was said and what is right; of places side by side."""
    truth = _asked(mistake)
    said, right = _words(mistake.prediction, classes), _words(truth, classes)
    if SPATIAL_KEYS.isdisjoint(truth):
        return _tile(mistake.image, mistake.prediction, classes, [said, f"is {right}"])
    blank = " " if said or right else ""  # for lines of one height
    left = _tile(mistake.image, mistake.prediction, classes, ["predicted", said or blank])
    beside = _tile(mistake.image, truth, classes, ["truth", right or blank])
    both = ImageOps.expand(left, (0, 0, GAP + beside.width, 0), "white")
    both.paste(beside, (left.width + GAP, 0))
    return both


def _asked(mistake: Mistake) -> dict[str, Any]:
    """Return of the truth what the prediction is about."""
    said = {key for part in _parts(mistake.prediction) for key in part}
    return {k: v for k, v in mistake.target.items() if k in said}


def _tile(
    image: Tensor, known: Mapping[str, Any], classes: Sequence[str], captions: Sequence[str]
) -> Image.Image:
    """Return one image, enlarged or made smaller, with what is known of it and lines below."""
    height, width = image.shape[-2:]
    least, greatest = SIDES
    scale: float = max(1, least // max(height, width))
    if max(height, width) > greatest:
        scale = greatest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    drawn = as_images(image[None])[0].resize(size, resample)
    _annotate(drawn, _parts(known), classes, (height, width))
    lines = [line for line in captions if line]
    tile = ImageOps.expand(drawn, (0, 0, 0, LINE * len(lines)), "white")
    for number, line in enumerate(lines):
        _write(line, tile, size[1] + LINE * number)
    return tile


def _write(line: str, image: Image.Image, top: int) -> None:
    pen = ImageDraw.Draw(image)
    pen.text((2, top), line, fill="black", font=ImageFont.load_default(FONT))


def _annotate(
    image: Image.Image,
    parts: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    size: tuple[int, int],
) -> None:
    """Draw classes of pixels, masks and boxes on an image, in place.

    If pixels are painted in the colours of their classes, further maps and masks are outlined.

    Args:
        image: Of mode `RGB`.
        parts: Targets, or the predictions of each head, in pixels of the sample.
        classes: Names of the classes.
        size: The sample's (H, W).
    """
    # Without names nobody knows which number is the background.
    count = len(classes) or IGNORED
    dense = [part["semantic"] for part in parts if "semantic" in part]
    for number, semantic in enumerate(dense):
        maps = {"semantic": _resized(semantic, image.size)}
        paint_classes(image, maps, count, outlined=number > 0)
    finding = [part for part in parts if not part.keys().isdisjoint(("boxes", "masks"))]
    scale = (image.width / size[1], image.height / size[0])
    marks = [m for n, part in enumerate(finding) for m in _marks(part, n, scale, image.size)]
    draw_marks(image, marks, outlined=bool(dense))


def _marks(
    part: Mapping[str, Any], dashes: int, scale: tuple[float, float], size: tuple[int, int]
) -> Iterator[Mark]:
    """Yield the objects of targets or of a head's prediction, the surest first.

    A box that is not finite, or turned over, is left out. An object without a class has the colour
    of its place.
    """
    masks, things = part.get("masks"), part.get("boxes", part.get("masks"))
    labels = part["labels"].tolist() if "labels" in part else range(len(things))
    boxes = part.get("boxes", torch.full((len(things), 4), math.nan)).float().cpu()
    is_box = boxes.isfinite().all(dim=1) & (boxes[:, 2:] >= boxes[:, :2]).all(dim=1)
    scores = part["scores"].cpu() if {"boxes", "scores"} <= part.keys() else None
    order = is_box if scores is None else scores.nan_to_num()
    for row in order.argsort(descending=True, stable=True).tolist():
        mask = _resized(masks[row], size) > 0 if masks is not None and len(masks) else None
        mark = Mark(labels[row], mask=mask, dashes=dashes)
        if is_box[row]:
            text = "" if scores is None else f"{float(scores[row]):.2f}"
            box = (boxes[row] * torch.tensor([*scale, *scale])).tolist()
            mark = replace(mark, box=box, text=text)
        yield mark


def _resized(values: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return numbers of classes, or a mask, (H, W) in an image's (width, height) as uint8."""
    image = Image.fromarray(values.cpu().to(torch.uint8).numpy())
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))


def _cut(known: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """Return what is known of a picture without the padding of its batch."""
    spatial = ("semantic", "masks")
    return {k: v[..., :height, :width] if k in spatial else v for k, v in known.items()}


def _key(known: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> list[tuple[int, str]]:
    """Return the numbers and names of the classes whose colours stand for something drawn."""
    numbers: set[int] = set()
    for part in (part for of_picture in known for part in _parts(of_picture)):
        if "semantic" in part:
            numbers |= set(torch.unique(part["semantic"]).tolist())
        elif "labels" in part and not {"masks", "boxes"}.isdisjoint(part):
            numbers |= set(part["labels"].tolist())
    return [(n, _name(n, classes)) for n in sorted(numbers) if 0 <= n < len(classes)]


def _parts(known: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what several heads say apart, and what one says alone."""
    nested = [value for value in known.values() if isinstance(value, Mapping)]
    return nested or [known]


def _words(known: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Return the classes of a picture, or of the things on it, with how sure that is."""
    return ", ".join(filter(None, (_of_part(part, classes) for part in _parts(known))))


def _of_part(known: Mapping[str, Any], classes: Sequence[str]) -> str:
    if "class" in known and torch.as_tensor(known["class"]).ndim:
        mixed = {number: share for number, share in enumerate(known["class"].tolist()) if share}
        return ", ".join(f"{_name(n, classes)} ({share:.0%})" for n, share in mixed.items())
    if "class" in known:
        number = int(known["class"])
        scores = known.get("scores")
        sure = "" if scores is None else f" ({float(scores[number]):.0%})"
        return _name(number, classes) + sure
    labels: Iterable[int] = known["labels"].tolist() if "labels" in known else ()
    if "masks" in known and "boxes" not in known:
        labels = ()  # of pixels; the key beside the sheet says which colour is which
    found = [_name(number, classes) for number in labels]
    counts = {name: found.count(name) for name in dict.fromkeys(found)}
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())


def _name(number: int, classes: Sequence[str]) -> str:
    return caption(classes[number]) if 0 <= number < len(classes) else str(number)


def _save(
    tiles: Sequence[Image.Image],
    path: Path,
    title: str = "",
    key: Sequence[tuple[int, str]] = (),
) -> None:
    """Write tiles as a square sheet, each in the corner of a cell of the largest one's size.

    Above stands a title, and below the classes' names beside their colours.
    """
    path.parent.mkdir(exist_ok=True)
    width, height = max(t.width for t in tiles), max(t.height for t in tiles)
    cells = [
        ImageOps.expand(tile, (0, 0, width - tile.width, height - tile.height), "white")
        for tile in tiles
    ]
    columns = math.ceil(math.sqrt(len(cells) * min(1.0, height / width)))  # fewer of wide ones
    sheet = with_legend(tiled(cells, columns), [Item(name, number) for number, name in key], FONT)
    with replacing(path) as file:
        (_titled(sheet, caption(title, LONGEST_TITLE)) if title else sheet).save(file, "PNG")


def _titled(sheet: Image.Image, title: str) -> Image.Image:
    """Return a sheet below a line, and as wide as that needs."""
    needed = math.ceil(ImageFont.load_default(FONT).getlength(title)) + 2 * PADDING
    titled = ImageOps.expand(sheet, (0, LINE, max(0, needed - sheet.width), 0), "white")
    _write(title, titled, 0)
    return titled
