"""Mosaics: training samples that are composed of four."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gvt.batch import IGNORED, Sample
from gvt.data.collate import alike
from gvt.data.objects import of_objects, picked, tidied, tight
from gvt.errors import ConfigError
from gvt.printable import printable

KEPT = 0.3
"""An object stays if at least this share of it is seen: of its mask, or of its box without one."""

GREY = 114
"""What is where no picture reaches, of 255."""

_PARTS = frozenset({"boxes", "labels", "masks", "semantic"})
"""Targets that say something of parts of a picture, too."""


def check_mosaic(sample: Sample) -> None:
    """Check that what is known of a picture can be known of a part of it.

    Raises:
        ConfigError: If it cannot.
    """
    known = set(sample.targets) | set(sample.inputs)
    whole = known - _PARTS - of_objects(sample.targets).keys()
    if "labels" in known and not known & {"boxes", "masks"}:
        whole.add("labels")
    if whole:
        raise ConfigError(
            f"data.mosaic: {printable(sample.record.source)} has {', '.join(sorted(whole))}, which "
            "says nothing of a part of a picture; leave it out of the data, or data.mosaic"
        )


def composed(samples: Sequence[Sample], source: torch.Generator) -> Sample:
    """Return a sample of the first one's size whose quarters show parts of four samples.

    The quarters meet at a point drawn in the middle half of either side. Each shows a window of its
    size, drawn from its picture; a smaller picture is shown whole, at the meeting point, on grey,
    where `semantic` is 255. Objects are cut at the quarter's edges, and dropped where less than
    `KEPT` of them is seen. A picture with other targets than the first has is not used; the first
    takes its place.

    Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934

    Args:
        samples: Four of them, with targets that `check_mosaic` lets through.
        source: Where the choice comes from.

    Raises:
        ConfigError: If something is known of a picture that cannot be known of a part of it.
        DataError: If images differ in their number of channels; names two of them.
    """
    first = samples[0]
    used = [s if _alike(s, first) else first for s in samples]
    for sample in used:
        check_mosaic(sample)
    images = alike(used)
    canvas = images[0].new_full(images[0].shape, GREY if images[0].dtype == torch.uint8 else 0)
    if canvas.is_floating_point():
        canvas += GREY / 255
    size = (int(canvas.shape[-2]), int(canvas.shape[-1]))
    windows = _windows(images, size, source)
    for image, window in zip(images, windows, strict=True):
        window.paste(image, canvas)
    targets = _joined(used, windows, size)
    return replace(
        first, image=canvas, targets=targets, record=replace(first.record, geometry=None)
    )


def _alike(sample: Sample, first: Sample) -> bool:
    """Whether the same is known of both, by the same classes."""
    same_part = sample.record.part == first.record.part
    return same_part and sample.targets.keys() == first.targets.keys()


@dataclass(frozen=True)
class _Window:
    """A part of a picture: where it begins there and on the canvas, (y, x), and its (H, W)."""

    begin: tuple[int, int]
    place: tuple[int, int]
    size: tuple[int, int]

    @property
    def inside(self) -> Any:
        """The picture's pixels that it shows."""
        return _pixels(self.begin, self.size)

    @property
    def on_canvas(self) -> Any:
        """The canvas's pixels that show them."""
        return _pixels(self.place, self.size)

    def paste(self, pixels: Tensor, canvas: Tensor) -> Tensor:
        """Put the part of (..., H, W) pixels onto a canvas, and return that."""
        canvas[self.on_canvas] = pixels[self.inside]
        return canvas

    def boxes(self, boxes: Tensor) -> Tensor:
        """Return boxes (M, 4) as they are on the canvas, cut at the window's edges."""
        (y, x), (top, left), (height, width) = self.begin, self.place, self.size
        moved = boxes + boxes.new_tensor([left - x, top - y] * 2)
        least = boxes.new_tensor([left, top] * 2)
        return moved.maximum(least).minimum(least + boxes.new_tensor([width, height] * 2))


def _pixels(begin: tuple[int, int], size: tuple[int, int]) -> Any:
    rows, columns = (slice(b, b + length) for b, length in zip(begin, size, strict=True))
    return (..., rows, columns)


def _windows(
    images: Sequence[Tensor], canvas: tuple[int, int], source: torch.Generator
) -> list[_Window]:
    """Return what each quarter shows: above at the left and the right, then below."""
    middle = [_drawn(side // 4, side - side // 4, source) for side in canvas]
    found = []
    for number, image in enumerate(images):
        sides = [
            _along(int(image.shape[axis - 2]), middle[axis], canvas[axis], second, source)
            for axis, second in enumerate((number >= 2, number % 2 == 1))
        ]
        begin, place, size = zip(*sides, strict=True)
        found.append(_Window(begin, place, size))
    return found


def _along(
    length: int, middle: int, end: int, second: bool, source: torch.Generator
) -> tuple[int, int, int]:
    """Return along one side where a window begins in its picture and on the canvas, and its length.

    It is in the canvas's second part, after the middle, or in the first.
    """
    room = end - middle if second else middle
    shown = min(length, room)
    return _drawn(0, length - shown, source), middle if second else middle - shown, shown


def _drawn(least: int, most: int, source: torch.Generator) -> int:
    return int(torch.randint(least, most + 1, (), generator=source))


def _joined(
    samples: Sequence[Sample], windows: Sequence[_Window], size: tuple[int, int]
) -> dict[str, Any]:
    """Return what is known of all windows together."""
    parts = [_seen(dict(s.targets), w, size) for s, w in zip(samples, windows, strict=True)]
    joined: dict[str, Any] = {}
    for key, value in parts[0].items():
        if key != "semantic":
            joined[key] = torch.cat([part[key] for part in parts])
            continue
        joined[key] = torch.full(size, IGNORED, dtype=value.dtype)
        for part, window in zip(parts, windows, strict=True):
            window.paste(part[key], joined[key])
    return joined


def _seen(targets: dict[str, Any], window: _Window, size: tuple[int, int]) -> dict[str, Any]:
    """Return what is known of a window, its boxes and masks on the canvas."""
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
