"""Mosaic augmentation: training samples composed of four."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from gvt import IGNORED, ConfigError, Frame, Sample
from gvt.data import of_objects, picked, tidied
from gvt.fields import field_of
from gvt.printable import printable

KEPT = 0.3
"""Least visible share of an object, by its mask or else by its box, for it to be kept."""

GREY = 114
"""Value of pixels that no image covers, of 255."""

_PARTS = frozenset({"boxes", "labels", "masks", "semantic"})
"""Targets that are valid for a part of an image, too."""


class Mosaic:
    """Show parts of four samples in the quarters of one, with their boxes, masks and classes.

    The quarters meet at a point drawn from the middle half of each side. Each quarter shows a
    random window of its image. A smaller image is shown whole, at the meeting point, on grey, where
    `semantic` is 255. Objects are cut at the edges of the quarter, and dropped if less than `KEPT`
    of them is visible. A sample whose targets differ in kind from those of the first is replaced by
    the first.

    Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934

    Args:
        p: Probability that a sample becomes a mosaic.
    """

    composes = True

    def __init__(self, p: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        self._p = p

    def __call__(self, sample: Sample, another: Callable[[], Sample]) -> Sample:
        """Return a mosaic of the size of a sample, or the sample.

        Raises:
            ConfigError: If a sample has a target or an input that is not valid for a part of its
                image.
            DataError: If images differ in their number of channels; the message names two of them.
        """
        _check(sample)
        if float(torch.rand(())) >= self._p:
            return sample
        return _composed([sample, another(), another(), another()])


def _check(sample: Sample) -> None:
    keys = {*sample.targets, *sample.inputs} - {"image"}
    whole = keys - _PARTS - of_objects(sample.targets).keys()
    if "labels" in keys and not keys & {"boxes", "masks"}:
        whole.add("labels")
    if whole:
        raise ConfigError(
            f"data.transforms: mosaic: {printable(sample.record.source)} has "
            f"{', '.join(sorted(whole))}, which is not valid for a part of an image; remove it "
            "from the data, or the mosaic from the transforms"
        )


def _composed(samples: Sequence[Sample]) -> Sample:
    """Return a sample of the first one's size whose quarters show parts of four samples."""
    first = samples[0]
    kind = first.record.part, first.targets.keys()
    used = [s if (s.record.part, s.targets.keys()) == kind else first for s in samples]
    for sample in used:
        _check(sample)
    sizes = [_size(sample.image) for sample in used]
    frame = Frame(tuple(sizes), (max(h for h, _ in sizes), max(w for _, w in sizes)))
    # Padded images, in a common dtype.
    images = field_of("image").collate([s.image for s in used], frame, [s.record for s in used])
    grey = GREY if images.dtype == torch.uint8 else GREY / 255
    canvas = images.new_full(first.image.shape, grey)
    windows = _windows(sizes)
    for image, window in zip(images, windows, strict=True):
        window.paste(image, canvas)
    targets, record = _joined(used, windows), replace(first.record, geometry=None)
    return replace(first, inputs={"image": canvas}, targets=targets, record=record)


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


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


def _windows(sizes: Sequence[tuple[int, int]]) -> list[_Window]:
    """Return the window of each quarter: top left, top right, bottom left, bottom right.

    Args:
        sizes: (H, W) of the image of each quarter; the first one is also that of the canvas.
    """
    middle = [_random(side // 4, side - side // 4) for side in sizes[0]]
    windows = []
    for number, size in enumerate(sizes):
        sides = [
            _along(size[axis], middle[axis], sizes[0][axis], second)
            for axis, second in enumerate((number >= 2, number % 2 == 1))
        ]
        windows.append(_Window(*zip(*sides, strict=True)))
    return windows


def _along(length: int, middle: int, end: int, second: bool) -> tuple[slice, slice]:
    """Return a window along one axis, in its image and on the canvas.

    The window is in the second part of the canvas, after the middle, or in the first.
    """
    room = end - middle if second else middle
    size = min(length, room)
    begin, place = _random(0, length - size), middle if second else middle - size
    return slice(begin, begin + size), slice(place, place + size)


def _random(least: int, most: int) -> int:
    return int(torch.randint(least, most + 1, ()))


def _joined(samples: Sequence[Sample], windows: Sequence[_Window]) -> dict[str, Any]:
    """Return the targets of all windows together."""
    size = _size(samples[0].image)
    parts = [_visible(s.targets, w, size) for s, w in zip(samples, windows, strict=True)]
    joined: dict[str, Any] = {}
    for key, value in parts[0].items():
        if key != "semantic":
            joined[key] = torch.cat([part[key] for part in parts])
            continue
        joined[key] = torch.full(size, IGNORED, dtype=value.dtype)
        for part, window in zip(parts, windows, strict=True):
            window.paste(part[key], joined[key])
    return joined


def _visible(targets: Mapping[str, Any], window: _Window, size: tuple[int, int]) -> dict[str, Any]:
    """Return the targets of a window, with boxes and masks in pixels of the canvas."""
    shown, masks, boxes = dict(targets), targets.get("masks"), targets.get("boxes")
    if masks is not None:
        shown["masks"] = window.paste(masks, masks.new_zeros((len(masks), *size)))
    if boxes is None:
        return shown
    shown["boxes"] = window.boxes(boxes)
    if masks is None:
        share = _areas(shown["boxes"]) / _areas(boxes)
    else:
        share = shown["masks"].sum(dim=(1, 2)) / masks.sum(dim=(1, 2))
    keep = share >= KEPT
    return tidied(picked(shown, keep), size, picked(targets, keep))


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
