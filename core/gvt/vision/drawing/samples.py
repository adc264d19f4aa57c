"""Sheets of samples, with their targets or predictions drawn on them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from gvt.batch import IGNORED, Batch
from gvt.data.image_fields import as_rgb
from gvt.fields import files_of_samples
from gvt.files import replacing, save_files
from gvt.vision.drawing.legend import Item, with_legend
from gvt.vision.drawing.overlay import Mark, draw_marks, paint_classes
from gvt.vision.drawing.tiles import LONGEST_TITLE, PADDING, caption, tiled

SIDES = (112, 320)
"""Smallest and largest side of a drawn sample, in pixels."""

LINE, FONT = 14, 11


def save_samples(batch: Batch, classes: Sequence[str], path: Path) -> list[Path]:
    """Draw a batch with its targets as a sheet, and return the paths of the files.

    Samples without images are written as the fields of their inputs and targets show them, beside
    the path: their texts and classes into `.txt`, sounds into `.wav`.

    Args:
        batch: The samples.
        classes: Names of the classes.
        path: Path of the PNG.
    """
    targets = batch.targets.per_image(len(batch)) if batch.targets else [{}] * len(batch)
    if "image" not in batch.inputs:
        captions = [words_of(target, classes) for target in targets]
        keys = dict.fromkeys(k for t in targets for k in t if k not in ("class", "labels"))
        further = {key: [target.get(key) for target in targets] for key in keys}
        files = files_of_samples({**batch.inputs, **further}, captions)
        return save_files(path.with_suffix(""), files)
    tiles, per_pixel = [], ("semantic", "masks")
    for image, target, (height, width) in zip(
        batch.images, targets, batch.frame.sizes, strict=True
    ):
        cut = {k: v[..., :height, :width] if k in per_pixel else v for k, v in target.items()}
        words = words_of(target, classes)
        tiles.append(sample_tile(image[:, :height, :width], cut, classes, [words]))
    save_tiles(tiles, targets, classes, path)
    return [path]


def sample_tile(
    image: Tensor, known: Mapping[str, Any], classes: Sequence[str], captions: Sequence[str]
) -> Image.Image:
    """Return a sample, enlarged or reduced, with its targets or prediction drawn on it.

    Classes of pixels and masks are drawn in their colours, and boxes with their scores.

    Args:
        image: (C, H, W) in [0, 1].
        known: Its targets, or a head's prediction.
        classes: Names of the classes.
        captions: Lines below the sample; empty ones are left out.
    """
    height, width = image.shape[-2:]
    least, greatest = SIDES
    scale = min(max(1, least // max(height, width)), greatest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resample = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    pixels = as_rgb(image[None])[0].permute(1, 2, 0).numpy()
    drawn = Image.fromarray(pixels).resize(size, resample)
    _annotate(drawn, known, classes, (height, width))
    return _captioned(drawn, [line for line in captions if line])


def _captioned(image: Image.Image, lines: Sequence[str], title: str = "") -> Image.Image:
    """Return an image with lines of text below it, and a title above, as wide as that needs."""
    font, above = ImageFont.load_default(FONT), LINE * bool(title)
    wider = max(0, math.ceil(font.getlength(title)) + 2 * PADDING - image.width) if title else 0
    whole = ImageOps.expand(image, (0, above, wider, LINE * len(lines)), "white")
    pen = ImageDraw.Draw(whole)
    pen.text((2, 0), title, fill="black", font=font)
    for number, line in enumerate(lines):
        pen.text((2, above + image.height + LINE * number), line, fill="black", font=font)
    return whole


def _annotate(
    image: Image.Image, known: Mapping[str, Any], classes: Sequence[str], size: tuple[int, int]
) -> None:
    """Draw classes of pixels, masks and boxes on an image, in place.

    If pixels are painted in the colours of their classes, masks are outlined.

    Args:
        image: Image of mode `RGB`.
        known: Targets or a prediction, in pixels of the sample.
        classes: Names of the classes.
        size: (H, W) of the sample.
    """
    if "semantic" in known:
        # Without names the number of the background is not known.
        count = len(classes) or IGNORED
        paint_classes(image, {"semantic": _resized(known["semantic"], image.size)}, count)
    scale = (image.width / size[1], image.height / size[0])
    draw_marks(image, [*_marks(known, scale, image.size)], outlined="semantic" in known)


def _marks(
    known: Mapping[str, Any], scale: tuple[float, float], size: tuple[int, int]
) -> Iterator[Mark]:
    """Yield the objects of targets or of a prediction, the surest first.

    A box that is not finite, or turned over, is left out. An object without a class has the colour
    of its index.
    """
    masks = known.get("masks")
    objects = known.get("boxes", masks)
    if objects is None:
        return
    labels = known["labels"].tolist() if "labels" in known else range(len(objects))
    boxes = known.get("boxes", torch.full((len(objects), 4), math.nan)).float().cpu()
    is_box = boxes.isfinite().all(dim=1) & (boxes[:, 2:] >= boxes[:, :2]).all(dim=1)
    scores = known["scores"].cpu() if {"boxes", "scores"} <= known.keys() else None
    order = is_box if scores is None else scores.nan_to_num()
    for row in order.argsort(descending=True, stable=True).tolist():
        mask = _resized(masks[row], size) > 0 if masks is not None and len(masks) else None
        mark = Mark(labels[row], mask=mask)
        if is_box[row]:
            text = "" if scores is None else f"{float(scores[row]):.2f}"
            box = (boxes[row] * torch.tensor([*scale, *scale])).tolist()
            mark = replace(mark, box=box, text=text)
        yield mark


def _resized(values: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return numbers of classes, or a mask, (H, W) in an image's (width, height) as uint8."""
    image = Image.fromarray(values.cpu().to(torch.uint8).numpy())
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))


def _drawn(known: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> list[int]:
    """Return the numbers of the classes whose colours are drawn."""
    numbers: set[int] = set()
    for of_image in known:
        if "semantic" in of_image:
            numbers |= set(torch.unique(of_image["semantic"]).tolist())
        elif "labels" in of_image and not {"masks", "boxes"}.isdisjoint(of_image):
            numbers |= set(of_image["labels"].tolist())
    return sorted(numbers & set(range(len(classes))))


def words_of(known: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Return the classes of an image, or of the objects in it, with their scores, as a caption."""
    if "class" in known and torch.as_tensor(known["class"]).ndim:
        mixed = {number: share for number, share in enumerate(known["class"].tolist()) if share}
        return ", ".join(f"{_name(n, classes)} ({share:.0%})" for n, share in mixed.items())
    if "class" in known:
        number = int(known["class"])
        scores = known.get("scores")
        sure = "" if scores is None else f" ({float(scores[number]):.0%})"
        return _name(number, classes) + sure
    if "labels" not in known or ("masks" in known and "boxes" not in known):
        return ""  # labels of pixels are explained by the legend below the sheet
    counts = Counter(_name(number, classes) for number in known["labels"].tolist())
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())


def _name(number: int, classes: Sequence[str]) -> str:
    return caption(classes[number]) if 0 <= number < len(classes) else str(number)


def save_tiles(
    tiles: Sequence[Image.Image],
    known: Iterable[Mapping[str, Any]],
    classes: Sequence[str],
    path: Path,
    title: str = "",
) -> None:
    """Write tiles as a square sheet, each in the corner of a cell of the size of the largest.

    Args:
        tiles: One or more tiles, such as of `sample_tile`.
        known: Targets or predictions on them; a legend below has the colours of their classes.
        classes: Names of the classes.
        path: Path of the PNG.
        title: Title above.
    """
    path.parent.mkdir(exist_ok=True)
    width, height = max(t.width for t in tiles), max(t.height for t in tiles)
    cells = [
        ImageOps.expand(tile, (0, 0, width - tile.width, height - tile.height), "white")
        for tile in tiles
    ]
    columns = math.ceil(math.sqrt(len(cells) * min(1.0, height / width)))
    items = [Item(_name(number, classes), number) for number in _drawn(known, classes)]
    sheet = with_legend(tiled(cells, columns), items, FONT)
    with replacing(path) as file:
        _captioned(sheet, [], caption(title, LONGEST_TITLE)).save(file, "PNG")
