"""Mosaic augmentation: training samples composed of four."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gvt.batch import IGNORED, Sample
from gvt.data.image_fields import in_common_dtype
from gvt.data.objects import of_objects, picked, tidied, tight
from gvt.errors import ConfigError
from gvt.printable import printable

KEPT = 0.3
"""Least visible share of an object, by its mask or else by its box, for it to be kept."""

GREY = 114
"""Value of pixels that no image covers, of 255."""

_PARTS = frozenset({"boxes", "labels", "masks", "semantic"})
"""Targets that are valid for a part of an image, too."""


def check_mosaic(sample: Sample) -> None:
    """Check that the targets and inputs of a sample can be cut to a part of its image.

    Raises:
        ConfigError: If they cannot.
    """
    keys = {*sample.targets, *sample.inputs} - {"image"}
    whole = keys - _PARTS - of_objects(sample.targets).keys()
    if "labels" in keys and not keys & {"boxes", "masks"}:
        whole.add("labels")
    if whole:
        raise ConfigError(
            f"data.mosaic: {printable(sample.record.source)} has {', '.join(sorted(whole))}, which "
            "is not valid for a part of an image; remove it from the data, or set data.mosaic=0"
        )


def composed(samples: Sequence[Sample], source: torch.Generator) -> Sample:
    """Return a sample of the first one's size whose quarters show parts of four samples.

    The quarters meet at a point drawn from the middle half of each side. Each quarter shows a
    random window of its image. A smaller image is shown whole, at the meeting point, on grey, where
    `semantic` is 255. Objects are cut at the edges of the quarter, and dropped if less than `KEPT`
    of them is visible. A sample whose targets differ in kind from those of the first is replaced by
    the first.

    Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934

    Args:
        samples: Four samples that pass `check_mosaic`.
        source: Random number generator.

    Raises:
        ConfigError: If a sample does not pass `check_mosaic`.
        DataError: If images differ in their number of channels; the message names two of them.
    """
    first = samples[0]
    kind = first.record.part, first.targets.keys()
    used = [s if (s.record.part, s.targets.keys()) == kind else first for s in samples]
    for sample in used:
        check_mosaic(sample)
    images = in_common_dtype([s.image for s in used], [s.record for s in used])
    grey = GREY if images[0].dtype == torch.uint8 else GREY / 255
    canvas = torch.full_like(images[0], grey)
    size = (int(canvas.shape[-2]), int(canvas.shape[-1]))
    windows = _windows(images, size, source)
    for image, window in zip(images, windows, strict=True):
        window.paste(image, canvas)
    targets, record = _joined(used, windows, size), replace(first.record, geometry=None)
    return replace(first, inputs={"image": canvas}, targets=targets, record=record)


@dataclass(frozen=True)
class _Window:
    """A part of an image: its rows and columns there, and those on the canvas."""

    source: tuple[slice, slice]
    target: tuple[slice, slice]

    def paste(self, pixels: Tensor, canvas: Tensor) -> Tensor:
        """Copy the window of (..., H, W) pixels onto a canvas, and return the canvas."""
        canvas[(..., *self.target)] = pixels[(..., *self.source)]
        return canvas

    def boxes(self, boxes: Tensor) -> Tensor:
        """Return boxes (M, 4) in pixels of the canvas, clipped to the window."""
        (y, x), (rows, columns) = (side.start for side in self.source), self.target
        shifted = boxes + boxes.new_tensor([columns.start - x, rows.start - y] * 2)
        least = boxes.new_tensor([columns.start, rows.start] * 2)
        return shifted.maximum(least).minimum(boxes.new_tensor([columns.stop, rows.stop] * 2))


def _windows(
    images: Sequence[Tensor], canvas: tuple[int, int], source: torch.Generator
) -> list[_Window]:
    """Return the window of each quarter: top left, top right, bottom left, bottom right."""
    middle = [_random(side // 4, side - side // 4, source) for side in canvas]
    windows = []
    for number, image in enumerate(images):
        sides = [
            _along(int(image.shape[axis - 2]), middle[axis], canvas[axis], second, source)
            for axis, second in enumerate((number >= 2, number % 2 == 1))
        ]
        windows.append(_Window(*zip(*sides, strict=True)))
    return windows


def _along(
    length: int, middle: int, end: int, second: bool, source: torch.Generator
) -> tuple[slice, slice]:
    """Return a window along one axis, in its image and on the canvas.

    The window is in the second part of the canvas, after the middle, or in the first.
    """
    room = end - middle if second else middle
    size = min(length, room)
    begin, place = _random(0, length - size, source), middle if second else middle - size
    return slice(begin, begin + size), slice(place, place + size)


def _random(least: int, most: int, source: torch.Generator) -> int:
    return int(torch.randint(least, most + 1, (), generator=source))


def _joined(
    samples: Sequence[Sample], windows: Sequence[_Window], size: tuple[int, int]
) -> dict[str, Any]:
    """Return the targets of all windows together."""
    parts = [_visible(dict(s.targets), w, size) for s, w in zip(samples, windows, strict=True)]
    joined: dict[str, Any] = {}
    for key, value in parts[0].items():
        if key != "semantic":
            joined[key] = torch.cat([part[key] for part in parts])
            continue
        joined[key] = torch.full(size, IGNORED, dtype=value.dtype)
        for part, window in zip(parts, windows, strict=True):
            window.paste(part[key], joined[key])
    return joined


def _visible(targets: dict[str, Any], window: _Window, size: tuple[int, int]) -> dict[str, Any]:
    """Return the targets of a window, with boxes and masks in pixels of the canvas."""
    masks, boxes = targets.get("masks"), targets.get("boxes")
    if masks is not None:
        targets["masks"] = window.paste(masks, masks.new_zeros((len(masks), *size)))
    if boxes is None:
        return targets
    targets["boxes"] = window.boxes(boxes)
    were_tight = torch.zeros(len(boxes), dtype=torch.bool)
    if masks is None:
        share = _areas(targets["boxes"]) / _areas(boxes)
    else:
        were_tight = tight(boxes, masks)
        share = targets["masks"].sum(dim=(1, 2)) / masks.sum(dim=(1, 2))
    keep = share >= KEPT
    return tidied(picked(targets, keep), size, were_tight[keep])


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
