"""Boxes that may hold an object of any class, from the pixels alone or from nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from gvt import Batch, ConfigError, DataError

Proposer = Literal["selective_search", "selective_search_quality", "windows"]
"""`selective_search` (Uijlings and others, 2013) in its fast form, or in the thorough one, which
takes several times as long; `windows` are the same for all pictures of a size."""

RATIOS = (0.5, 1.0, 2.0)
"""Height over width of windows."""

SCALES = tuple(2 ** (-step / 2) for step in range(7))
"""Side of windows, as shares of the picture's shorter side: from all of it to an eighth."""

STEPS = (0.25, 1 / 3, 0.5, 2 / 3, 1.0)
"""Distance of neighbouring windows, as shares of their sides: the first that is not too many."""

LEAST_SIDE = 1.0
"""Pixels of a window's shorter side."""


def proposals_of(batch: Batch, proposer: Proposer, most: int) -> list[Tensor]:
    """Return of each image the boxes that may hold an object.

    Those that the data gives, `batch.inputs["proposals"]`, or else, and for an image for which it
    gives None, those of the proposer.

    Args:
        batch: Of N images; their padding is not looked at.
        proposer: What makes proposals where none are given.
        most: Boxes of an image; what is more is cut off.

    Returns:
        N times (P, 4) float32, clipped to the image, each with an area.

    Raises:
        ConfigError: If selective search is to make them and OpenCV's contributed modules are not
            installed, or the images are neither grey nor RGB.
        DataError: If those of the data are not (P, 4) for each image.
    """
    found = []
    for image, size, own in zip(batch.images, batch.frame.sizes, _given(batch), strict=True):
        boxes = own
        if boxes is None:
            boxes = proposals_in(image[:, : size[0], : size[1]], proposer, most)
        inside = clip_boxes_to_image(boxes.to(image.device).float(), size)
        found.append(inside[(inside[:, 2:] > inside[:, :2]).all(dim=1)][:most])
    return found


def _given(batch: Batch) -> list[Tensor | None]:
    """Return of each image the proposals that the data gives, None where it gives none.

    Raises:
        DataError: If there are not as many as images, or they are not (P, 4).
    """
    given = batch.inputs.get("proposals")
    if given is None:
        return [None] * len(batch)
    if isinstance(given, Tensor):  # as many of each image
        given = list(given) if given.ndim else [given]
    if len(given) != len(batch):
        without = f", none for {_source(batch, len(given))}" if len(given) < len(batch) else ""
        raise DataError(
            f"inputs['proposals'] is for {len(given)} images, and the batch has {len(batch)}"
            f"{without}; give (P, 4) boxes for each, or None"
        )
    for row, own in enumerate(given):
        if own is not None and (not isinstance(own, Tensor) or own.shape[1:] != (4,)):
            has = (
                f"shape {tuple(own.shape)}"
                if isinstance(own, Tensor)
                else f"a {type(own).__name__}"
            )
            raise DataError(
                f"inputs['proposals'] of {_source(batch, row)}: {has}; give a tensor (P, 4), "
                "boxes xyxy in pixels of the image"
            )
    return list(given)


def _source(batch: Batch, row: int) -> str:
    return batch.records[row].source if batch.records else f"image {row} of the batch"


def proposals_in(image: Tensor, proposer: Proposer, most: int) -> Tensor:
    """Return the proposals of one image, (P, 4) float32 on its device.

    The same picture has the same ones, in the same order.

    Args:
        image: (C, H, W), uint8 or float in [0, 1].
        proposer: What makes them.
        most: Boxes at most.

    Raises:
        ConfigError: If OpenCV's contributed modules are not installed, or the image is neither
            grey nor RGB, and selective search is asked for.
    """
    if proposer == "windows":
        return windows((image.shape[-2], image.shape[-1]), most).to(image.device)
    thorough = proposer == "selective_search_quality"
    return _searched(image, thorough)[:most].to(image.device)


def windows(size: tuple[int, int], most: int) -> Tensor:
    """Return windows of several sizes and proportions that cover a picture evenly.

    They are as close to each other as their number allows, the largest first; where even those
    side by side are too many, the smallest are left out.

    Args:
        size: (H, W) of the picture in pixels.
        most: Windows at most.

    Returns:
        (P, 4) float32.
    """
    grids: list[Tensor] = []
    for step in STEPS:
        grids = [_grid(size, of_one, step) for of_one in _window_sizes(size)]
        if sum(map(len, grids)) <= most:
            break
    found: list[Tensor] = []
    for grid in grids:
        left = most - sum(map(len, found))
        # Of the last ones not the first rows, but some from everywhere.
        rows = torch.linspace(0, len(grid) - 1, min(len(grid), left)).long()
        found.append(grid[rows])
    return clip_boxes_to_image(torch.cat(found), size)


def _window_sizes(size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return the (h, w) of windows in a picture, each once."""
    found = []
    for scale in SCALES:
        side = scale * min(size)
        for ratio in RATIOS:
            wanted = (side * sqrt(ratio), side / sqrt(ratio))
            if min(wanted) >= LEAST_SIDE or scale == SCALES[0]:
                height, width = (min(w, s) for w, s in zip(wanted, size, strict=True))
                found.append((height, width))
    return list(dict.fromkeys(found))


def _grid(size: tuple[int, int], window: tuple[float, float], step: float) -> Tensor:
    """Return windows of one size, (P, 4), from edge to edge of the picture."""
    places = []
    for length, side in zip(size, window, strict=True):
        count = round((length - side) / (step * side)) + 1
        places.append(
            torch.linspace(0, length - side, count) if count > 1 else _middle(length, side)
        )
    y, x = (of_axis.flatten() for of_axis in torch.meshgrid(*places, indexing="ij"))
    return torch.stack([x, y, x + window[1], y + window[0]], dim=1)


def _middle(length: int, side: float) -> Tensor:
    return torch.tensor([(length - side) / 2])


def _searched(image: Tensor, thorough: bool) -> Tensor:
    """Return all boxes of selective search, (P, 4) float32 on the CPU.

    Uijlings and others, 2013, https://doi.org/10.1007/s11263-013-0620-5
    """
    search = _selective_search()()
    search.setBaseImage(_bgr(image))
    if thorough:
        search.switchToSelectiveSearchQuality()
    else:
        search.switchToSelectiveSearchFast()
    found = torch.from_numpy(search.process()).long()
    boxes = torch.cat([found[:, :2], found[:, :2] + found[:, 2:]], dim=1)
    return _ranked(torch.unique(boxes, dim=0)).float()


def _ranked(boxes: Tensor) -> Tensor:
    """Return boxes in the paper's order, by place times chance, with the same chance every time.

    OpenCV's own order is of the C library's chance, which nobody can seed. The place of a box in
    the hierarchy, which OpenCV does not say either, is that by area: the largest come last there.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    largest_first = boxes[sides.prod(dim=1).argsort(descending=True, stable=True)]
    chance = torch.rand(len(boxes), generator=torch.Generator().manual_seed(0))
    return largest_first[(chance * torch.arange(1, len(boxes) + 1)).argsort(stable=True)]


def _bgr(image: Tensor) -> Any:
    """Return an image as OpenCV has it, (H, W, 3) uint8, blue first."""
    if len(image) not in (1, 3):
        raise ConfigError(
            f"proposer: selective search takes grey or RGB pictures, these have {len(image)} "
            "channels; use proposer: windows, or give proposals in the data"
        )
    pixels = image.detach().cpu()
    if pixels.is_floating_point():
        pixels = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.expand(3, -1, -1).flip(0).permute(1, 2, 0).contiguous().numpy()


def _selective_search() -> Callable[[], Any]:
    try:
        from cv2.ximgproc import segmentation
    except ImportError as error:
        raise ConfigError(
            "proposer: selective search takes OpenCV with its contributed modules; pip install "
            '"gvt[selective-search]", or use proposer: windows'
        ) from error
    return segmentation.createSelectiveSearchSegmentation
