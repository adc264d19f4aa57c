"""Samples for people's eyes: each picture with what is known of it drawn on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from gvt.batch import IGNORED, Batch
from gvt.files import replacing
from gvt.geometry import SPATIAL_KEYS
from gvt.loop.evaluation import Mistake
from gvt.vision.drawing.colour import as_rgb
from gvt.vision.drawing.outlines import edges, outline
from gvt.vision.drawing.palette import Color, color_of, legend, paint, text_color
from gvt.vision.drawing.tiles import LONGEST_TITLE, PADDING, caption, tiled

SIDES = (112, 320)
"""Least and greatest side of a drawn picture, in pixels."""

LINE, FONT, GAP, SMALL = 14, 11, 4, 9


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
    both = Image.new("RGB", (left.width + GAP + beside.width, left.height), "white")
    both.paste(left)
    both.paste(beside, (left.width + GAP, 0))
    return both


def _asked(mistake: Mistake) -> dict[str, Any]:
    """Return of the truth what the prediction is about."""
    said = {key for part in _parts(mistake.prediction) for key in part}
    return {k: v for k, v in mistake.target.items() if k in said}


def _tile(
    image: Tensor, known: Mapping[str, Any], classes: Sequence[str], captions: Sequence[str]
) -> Image.Image:
    """Return one picture, enlarged or made smaller, with what is known of it and lines below."""
    height, width = image.shape[-2:]
    least, greatest = SIDES
    scale: float = max(1, least // max(height, width))
    if max(height, width) > greatest:
        scale = greatest / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    pixels = as_rgb(image).float().cpu().clamp(0, 1)
    mode = "nearest" if scale >= 1 else "area"
    pixels = torch.nn.functional.interpolate(pixels[None], size, mode=mode)[0]
    drawn = pixels.mul(255).round().byte()
    drawn = _overlaid(drawn, _parts(known), classes, (size[1] / width, size[0] / height))
    lines = [line for line in captions if line]
    tile = Image.new("RGB", (size[1], size[0] + LINE * len(lines)), "white")
    tile.paste(Image.fromarray(drawn.permute(1, 2, 0).numpy()))
    for number, line in enumerate(lines):
        _write(line, tile, size[0] + LINE * number)
    return tile


def _write(line: str, image: Image.Image, top: int) -> None:
    pen = ImageDraw.Draw(image)
    pen.text((2, top), line, fill="black", font=ImageFont.load_default(FONT))


def _overlaid(
    pixels: Tensor,
    parts: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    scale: tuple[float, float],
) -> Tensor:
    """Return (3, H, W) uint8 pixels with classes of pixels, masks and boxes on them.

    Of pixels that are painted in the colour of their class already the masks are outlined.
    """
    size = pixels.shape[-2:]
    # Without names nobody knows which number is the background.
    count = len(classes) or IGNORED
    dense = [part["semantic"] for part in parts if "semantic" in part]
    painted = pixels.permute(1, 2, 0).numpy().copy()
    for number, semantic in enumerate(dense):
        values = _resized(semantic[None], size)[0].numpy()
        if number:
            values = np.where(edges(values), values, IGNORED)
        paint(painted, values, count, opacity=1 if number else 0.5)
    pixels = torch.from_numpy(painted).permute(2, 0, 1).contiguous()
    for part in parts:
        if len(part.get("masks", ())):
            masks = _resized(part["masks"], size).bool()
            alpha = 0.5
            if dense:
                masks, alpha = torch.from_numpy(np.stack([outline(m.numpy()) for m in masks])), 1.0
            colors = _colors(part, masks)
            pixels = draw_segmentation_masks(pixels, masks, alpha=alpha, colors=colors)
    for part in parts:
        if len(part.get("boxes", ())):
            pixels = _boxed(pixels, part, scale)
    return pixels


def _boxed(pixels: Tensor, known: Mapping[str, Any], scale: tuple[float, float]) -> Tensor:
    """Return (3, H, W) pixels with the boxes on them, and the scores if they have some.

    A box that is none, since it is not finite or turned over, is left out.
    """
    height, width = pixels.shape[-2:]
    boxes = known["boxes"].float().cpu() * torch.tensor([*scale, *scale])
    colors = _colors(known, boxes)
    is_box = boxes.isfinite().all(dim=1) & (boxes[:, 2:] >= boxes[:, :2]).all(dim=1)
    rows = is_box.nonzero().flatten().tolist()
    # What lies outside stays there, at numbers that whole ones can be made of.
    limits = torch.tensor([width, height, width, height]).float()
    boxes = boxes[rows].maximum(-limits).minimum(2 * limits)
    colors = [colors[row] for row in rows]
    if rows:
        pixels = draw_bounding_boxes(pixels, boxes, colors=colors, width=1)
    if rows and "scores" in known:
        pixels = _with_scores(pixels, boxes, known["scores"].cpu()[rows].tolist(), colors)
    return pixels


def _with_scores(
    pixels: Tensor, boxes: Tensor, scores: Sequence[float], colors: Sequence[Color]
) -> Tensor:
    """Return (3, H, W) pixels with a score at each box's upper left corner, the surest on top."""
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(SMALL)
    for row in sorted(range(len(scores)), key=lambda row: scores[row]):
        text = f"{scores[row]:.2f}"
        width, height = math.ceil(font.getlength(text)) + 2, SMALL + 1
        left, top = (round(v) for v in boxes[row, :2].tolist())
        left = max(0, min(left, image.width - width))
        top = top - height if top >= height else top  # inside where there is no room above
        pen.rectangle((left, top, left + width - 1, top + height - 1), fill=colors[row])
        ink = text_color(colors[row])
        pen.text((left + 1, top + height), text, fill=ink, font=font, anchor="ld")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _resized(masks: Tensor, size: Sequence[int]) -> Tensor:
    values = masks.cpu()[:, None].float()
    return torch.nn.functional.interpolate(values, tuple(size), mode="nearest")[:, 0].to(
        torch.int64
    )


def _colors(known: Mapping[str, Any], things: Tensor) -> list[Color]:
    """Return a colour for each thing: that of its class, or of its number where it has none."""
    labels = known.get("labels")
    numbers = range(len(things)) if labels is None else labels.tolist()
    return [color_of(n) for n in numbers]


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
    cells = []
    for tile in tiles:
        cell = Image.new("RGB", (width, height), "white")
        cell.paste(tile)
        cells.append(cell)
    columns = math.ceil(math.sqrt(len(cells) * min(1.0, height / width)))  # fewer of wide ones
    sheet = tiled(cells, columns)
    if key:
        names = legend(key, sheet.width)
        with_key = Image.new("RGB", (sheet.width, sheet.height + names.height), "white")
        with_key.paste(sheet)
        with_key.paste(names, (0, sheet.height))
        sheet = with_key
    with replacing(path) as file:
        (_titled(sheet, caption(title, LONGEST_TITLE)) if title else sheet).save(file, "PNG")


def _titled(sheet: Image.Image, title: str) -> Image.Image:
    """Return a sheet below a line, and as wide as that needs."""
    needed = math.ceil(ImageFont.load_default(FONT).getlength(title)) + 2 * PADDING
    titled = Image.new("RGB", (max(sheet.width, needed), LINE + sheet.height), "white")
    titled.paste(sheet, (0, LINE))
    _write(title, titled, 0)
    return titled
